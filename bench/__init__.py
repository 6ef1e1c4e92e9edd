"""Side-by-side measurements against the stock LangChain chain: `python -m bench`."""
