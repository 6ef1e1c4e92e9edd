"""Texts in, BM25 scores out: tokens that keep identifiers whole and also know their parts."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORDS_VERSION = 2  # in the manifest: change it whenever `tokens` would give other tokens
K1, B = 1.2, 0.75  # the usual values; 0.9 and 0.4 were measured to be worse here

_WORD = re.compile(r"0[xX][0-9A-Fa-f]+|[A-Za-z_][A-Za-z0-9_]*|\d+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PLURAL = re.compile(r"[A-Z]{2,}s")
STOP_WORDS = frozenset(
    "a about an and any are as at be been but by can could did do does for from had has have how i if in into is it its me my of on or our shall should so "
    "such than that the their them then there these they this those to was we were what when where which while who why will with would you your".split()
)


@functools.cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


@functools.lru_cache(maxsize=200_000)
def _tokens_of(word: str) -> tuple[str, ...]:
    """The tokens of one word: an identifier gives itself and its stemmed parts, a plain word its stem."""
    lower = word.lower()
    if lower.startswith("0x"):
        return ("0x" + (lower[2:].lstrip("0") or "0"),)  # 0x0000000A is 0xA
    if _PLURAL.fullmatch(word):
        return (_stemmer().stemWord(lower[:-1]),)  # DPCs are DPC
    parts = _PART.findall(word)
    if len(parts) > 1:
        stem = _stemmer().stemWord
        return (lower, *(stem(part.lower()) for part in parts if len(part) > 1 and part.lower() not in STOP_WORDS))
    return () if lower in STOP_WORDS or (len(lower) < 2 and not lower.isdigit()) else (_stemmer().stemWord(lower),)


def tokens(text: str) -> list[str]:
    """
    The tokens that a text is found by.

    Args:
        text: Prose or code.

    Returns:
        For `KeWaitForSingleObject`: the whole name in lower case, then `ke`, `wait`, `singl`, `object`; for a plain word its stem;
        hexadecimal numbers without leading zeros; no stop words.
    """
    return [token for word in _WORD.findall(text) for token in _tokens_of(word)]


class WordIndex:
    """BM25 over chunks, each known by its row."""

    def __init__(self, folder: Path) -> None:
        """Open what `build` wrote to *folder*, mapped, not read."""
        import bm25s

        self._bm25: Any = bm25s.BM25.load(str(folder), load_corpus=False, mmap=True, load_vocab=True)
        self._vocabulary: dict[str, int] = self._bm25.vocab_dict
        self.rows = int(json.loads((folder / "params.index.json").read_text(encoding="utf-8"))["num_docs"])

    @staticmethod
    def build(texts: Sequence[list[str]], folder: Path) -> None:
        """Index one list of tokens a row and write it to *folder*."""
        import bm25s

        vocabulary: dict[str, int] = {}
        ids = [[vocabulary.setdefault(token, len(vocabulary)) for token in row] for row in texts]
        bm25 = bm25s.BM25(k1=K1, b=B, method="lucene")
        bm25.index((ids, vocabulary), show_progress=False, create_empty_token=False)
        bm25.save(str(folder), show_progress=False)

    def scores(self, text: str) -> NDArray[np.float32]:
        """The BM25 score of every row for a text; zeros when no token is known."""
        known = [self._vocabulary[token] for token in dict.fromkeys(tokens(text)) if token in self._vocabulary]
        if not known:
            return np.zeros(self.rows, np.float32)
        scores: NDArray[np.float32] = self._bm25.get_scores_from_ids(known)
        return scores


def best(scores: NDArray[np.float32], k: int, digits: int = 4) -> list[tuple[int, float]]:
    """
    The *k* highest scores above zero with their rows, made exact: rounded, ties by row.

    Args:
        scores: One score a row. Rows are in the order of ids, so a tie goes to the lower id.
        k: How many at most.
        digits: Decimals that count; processors differ in the ones after.

    Returns:
        Rows and rounded scores, best first.
    """
    rows = np.flatnonzero(scores > 0)
    if not len(rows) or k < 1:
        return []
    held = scores[rows]  # the zeros are left out first: partitioning thousands of equal values is slow
    if k < len(held):
        near = held >= np.partition(held, len(held) - k)[len(held) - k] - 10.0**-digits
        rows, held = rows[near], held[near]
    rounded = np.round(held, digits)
    order = np.lexsort((rows, -rounded))[:k]
    return [(int(rows[place]), float(rounded[place])) for place in order if rounded[place] > 0]
