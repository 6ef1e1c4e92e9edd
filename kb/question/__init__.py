"""A question's text (and what was said before) in, facts, uses and the kind of question out. Nothing is guessed: what is not stated stays unknown."""

from kb.question.reading import Fact, Question, Reader

__all__ = ["Fact", "Question", "Reader"]
