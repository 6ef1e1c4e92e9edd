"""A question's text (and what was said before) in, facts, uses and the kind of question out. Nothing is guessed: what is not stated stays unknown."""

from kb.question.reader import Reader
from kb.question.records import MEMORY_ACTS, Fact, Question

__all__ = ["MEMORY_ACTS", "Fact", "Question", "Reader"]
