"""A question, its verdict and passages in, an Answer with numbered citations out."""

from kb.answer.compose import compose
from kb.answer.record import Answer, Cited, Finding

__all__ = ["Answer", "Cited", "Finding", "compose"]
