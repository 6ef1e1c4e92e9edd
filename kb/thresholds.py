"""Every threshold of the project in one place; `python -m kb thresholds` measures what they separate."""

from __future__ import annotations

ARTICLE_SCORE = 0.18  # kb/answer/articles.py: word overlap from which an article answers a question
PASSAGE_COSINE = 0.38  # kb/answer/compose.py: a passage below this and below PASSAGE_WORDS is not shown
PASSAGE_WORDS = 9.0  # the same, by BM25
TYPO_DISTANCE = 2  # kb/question/words.py: edits between a written routine name and the documented one
SPELLING_SCORE = 90.0  # the same, for a long plain word (rapidfuzz ratio, 0 to 100)
