"""
From published pages and our own knowledge to `index/`: `python -m ingest`.

The flow: `fetch` (files of a source), `pages` and `knowledge` (clean sections), `chunks` (pieces of at most 256 tokens), `publish`
(a new generation of the index beside the old one, checked, then switched to).
"""
