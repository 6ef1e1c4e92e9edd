"""Pasted driver code in, findings with their proof out: what is called, locked, allocated and touched, at which line and IRQL."""

from kb.snippet.review import Review, SnippetFinding, review

__all__ = ["Review", "SnippetFinding", "review"]
