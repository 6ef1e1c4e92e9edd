"""
The browser's side: an Assistant in, pages out.

`markdown` (Markdown to safe HTML), `markup` (an Answer as HTML), `chat` (the Gradio conversation), `pages` (the rule book as pages),
`server` (health, JSON and the chat under one address). Nothing here decides anything about drivers.
"""
