"""A question, the names in it and the pages its verdict rests on in; the best passages out, words and vectors fused."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kb.embedding import EmbeddingError
from kb.index import Candidates, Chunk, Index
from kb.index.vectors import VectorsError

DEPTH = 100  # candidates from each ranking
VECTOR_SHARE, WORD_SHARE, PAGE_SHARE, TITLE_SHARE = 0.33, 0.22, 0.33, 0.11  # of the fused score; chosen on one half of 660 questions, docs/decisions/0008-ranking.md
NAME_BONUS = 0.30  # a page about a name in the question comes before what only mentions it
PAGE_BONUS = 0.15  # a page that the verdict rests on
BARE_LOSS = 0.30  # a declaration crowds out what explains it
MAX_NAMES = 6  # names looked up in one question


class Ddis(Protocol):
    """What the retriever asks of the DDI table."""

    def find(self, name: str) -> object | None:
        """The DDI of a name, None when there is none; `page` is its main page."""
        ...


@dataclass(frozen=True)
class Passage:
    """A chunk that was found."""

    title: str
    url: str
    section: str
    """Slug of the heading; empty for the page's introduction."""
    score: float
    """Fused rank score: compare within one call only."""
    text: str
    page: str
    kind: str
    heading: str
    cosine: float = 0.0
    """Cosine to the question: comparable between questions. 0 without vectors."""
    words: float = 0.0
    """BM25 score: comparable between questions over one index."""
    id: str = ""
    """The chunk's id."""


class Retriever:
    """Finds passages. Holds no state but `notice`, so that one serves every user."""

    def __init__(self, index: Index, ddis: Ddis | None = None) -> None:
        """
        Search one index.

        Args:
            index: The passages.
            ddis: The DDI table, to know a name's main page when several headers document it.
        """
        self._index = index
        self._ddis = ddis
        self.notice = ""
        """Why the last answer came from words alone, empty when it did not; one line for the reader."""

    def find(self, text: str, names: Sequence[str] = (), pages: Sequence[str] = (), k: int = 10, per_page: int = 2) -> list[Passage]:
        """
        Find the passages that answer a question.

        Args:
            text: The question.
            names: DDIs and routines that the question names; identifiers in *text* are looked up too.
            pages: Pages that the verdict's rules and facts cite; their chunks are always candidates.
            k: How many at most.
            per_page: How many of one page at most.

        Returns:
            Passages, best first, one a section at most. The same index and question always give the same ones.
        """
        vector = None
        self.notice = ""
        try:
            vector = self._index.embed_query(text)
            named = self._named(text, names)
            found = self._index.candidates(text, vector, DEPTH, named, pages)
        except (EmbeddingError, VectorsError) as error:
            self.notice = f"Searching by words alone: {error}"
            named = self._named(text, names)
            found = self._index.candidates(text, None, DEPTH, named, pages)
        if not len(found.rows):
            return []
        return [self._shown(passage) for passage in _pick(found, fuse(found, not self.notice), k, per_page)]

    def _shown(self, passage: Passage) -> Passage:
        """A rule found by its example questions is shown by its reasons."""
        if passage.kind == "rule" and passage.section == "examples":
            why = self._index.section(passage.page, "why")
            if why:
                return replace(passage, text=why[0].text, section=why[0].section, heading=why[0].heading, url=why[0].url)
        return passage

    def _named(self, text: str, names: Sequence[str]) -> list[str]:
        """Pages about the names of a question, the main page of each first."""
        said = [*names, *(word for word in re.findall(r"[A-Za-z_]\w{3,}", text) if re.search(r"[a-z][A-Z]|_", word) or word.lower() != word)]
        said += [hex(int(code, 16)) for code in re.findall(r"\b0[xX][0-9A-Fa-f]{1,16}\b", text)]
        out: list[str] = []
        for name in list(dict.fromkeys(name.lower() for name in said))[:MAX_NAMES]:
            pages = self._index.pages_named(name)
            main = getattr(self._ddis.find(name), "page", "") if self._ddis and pages else ""
            out += sorted(pages, key=lambda page: (page != main, _header_rank(page), page))[:1]
        return list(dict.fromkeys(out))

    def passage(self, page: str, section: str | None, terms: Sequence[str]) -> Passage | None:
        """
        The paragraph that a citation rests on.

        Args:
            page: Page id.
            section: Slug, or None for the introduction.
            terms: Words that stand together in it.

        Returns:
            The paragraph, list item or table row that holds all terms; else the chunk that holds most of them; None when the
            page or section is not in the index.
        """
        chunks = self._index.section(page, section) or ([] if section else self._index.page(page)[:1])
        wanted = [plain(term) for term in terms]
        best: tuple[int, Chunk | None, str] = (-1, None, "")
        for chunk in chunks:
            for text in [*chunk.text.split("\n"), chunk.text]:
                seen = plain(text)
                held = sum(term in seen for term in wanted)
                if held == len(wanted) and wanted and text is not chunk.text:
                    return _passage(chunk, 1.0, text)
                if text is chunk.text and held > best[0]:
                    best = (held, chunk, text)
        return _passage(best[1], 0.5, best[2]) if best[1] else None


def plain(text: str) -> str:
    """Text for comparing with a citation's terms: no emphasis or escapes, lower case, single blanks."""
    return " ".join(re.sub(r"[*`\\]", "", html.unescape(text)).split()).lower()


def _header_rank(page: str) -> int:
    """wdm.h before ntddk.h before ntifs.h before others: the header most drivers include."""
    for rank, header in enumerate(("/wdm/", "/ntddk/", "/ntifs/")):
        if header in page:
            return rank
    return 3


def fuse(found: Candidates, vectors: bool) -> NDArray[np.float32]:
    """A convex sum of scores brought to 0..1, plus the bonuses; rounded, so that processors agree."""
    parts = (found.cosines - found.cosines.min(), found.words, found.page_words, found.title_words)
    shares = (VECTOR_SHARE if vectors else 0.0, WORD_SHARE, PAGE_SHARE, TITLE_SHARE)
    total = sum(shares)
    score = sum((share / total * part / (part.max() or 1.0) for share, part in zip(shares, parts, strict=True)), start=np.zeros(len(found.rows), np.float32))
    return np.asarray(np.round(score + NAME_BONUS * found.named + PAGE_BONUS * found.wanted - BARE_LOSS * found.bare, 4), np.float32)


def _pick(found: Candidates, scores: NDArray[np.float32], k: int, per_page: int) -> list[Passage]:
    """The first *k*, one a section, few a page, and one only of pages that document a name under several headers."""
    out: list[Passage] = []
    sections: set[tuple[str, str]] = set()
    pages: dict[str, int] = {}
    texts: set[str] = set()
    order = np.lexsort((found.rows, -scores)).tolist()
    for start in range(0, len(order), 2 * k):
        places = order[start : start + 2 * k]
        for place, chunk in zip(places, found.chunks(places), strict=True):
            section = "why" if chunk.kind == "rule" else chunk.section
            if (chunk.page, section) in sections or pages.get(chunk.page, 0) >= per_page or chunk.text in texts:
                continue
            sections.add((chunk.page, section))
            pages[chunk.page] = pages.get(chunk.page, 0) + 1
            texts.add(chunk.text)
            out.append(_passage(chunk, float(scores[place]), chunk.text, float(found.cosines[place]), float(found.words[place])))
            if len(out) == k:
                return out
    return out


def _passage(chunk: Chunk, score: float, text: str, cosine: float = 0.0, words: float = 0.0) -> Passage:
    return Passage(chunk.title, chunk.url, chunk.section, score, text, chunk.page, chunk.kind, chunk.heading, cosine, words, chunk.id)
