"""Fusing and picking (fast); passages of a real index (slow)."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from kb.index import Candidates, Chunk, Index
from kb.index.store import ChunkStore
from kb.retriever import Retriever, _pick, fuse, plain


class Store:
    """Chunks in a list, as rows."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self.chunks = chunks

    def by_row(self, rows: list[int]) -> dict[int, Chunk]:
        return {row: self.chunks[row] for row in rows}


def chunk(page: str, section: str = "", number: int = 0, text: str = "", kind: str = "page") -> Chunk:
    return Chunk(f"{page}#{section}~{number:03}", text or f"{page} {section} {number}", page, page, section, section, page, kind, "s")


def candidates(*entries: tuple[Chunk, float, float, float], named: str = "", wanted: str = "") -> Candidates:
    chunks = [entry[0] for entry in entries]
    words, page_words, cosines = (np.array([entry[place] for entry in entries], np.float32) for place in (1, 2, 3))
    flags = [np.array([one.page == page for one in chunks], bool) for page in (named, wanted)]
    return Candidates(
        np.arange(len(chunks)), words, page_words, np.zeros(len(chunks), np.float32), cosines, flags[0], flags[1], np.zeros(len(chunks), bool), cast(ChunkStore, Store(chunks))
    )


@pytest.mark.parametrize(("named", "wanted", "order"), [("", "", ["a", "b", "c"]), ("c", "", ["c", "a", "b"]), ("", "b", ["b", "a", "c"])])
def test_a_named_page_comes_first_and_ties_go_by_id(named: str, wanted: str, order: list[str]) -> None:
    found = candidates((chunk("a"), 1.0, 1.0, 0.5), (chunk("b"), 1.0, 1.0, 0.5), (chunk("c"), 0.9, 0.9, 0.5), named=named, wanted=wanted)
    assert [passage.page for passage in _pick(found, fuse(found, True), 5, 2)] == order


def test_one_entry_a_section_and_few_a_page() -> None:
    found = candidates(*((chunk("a", section, number), 1.0 - number / 10, 1.0, 1.0) for number, section in enumerate(("x", "x", "y", "z"))), (chunk("b"), 0.1, 0.1, 1.0))
    assert [(passage.page, passage.section) for passage in _pick(found, fuse(found, True), 10, 2)] == [("a", "x"), ("a", "y"), ("b", "")]
    assert len(_pick(found, fuse(found, True), 1, 2)) == 1


def test_scores_without_vectors_use_words_alone() -> None:
    found = candidates((chunk("a"), 2.0, 1.0, 0.0), (chunk("b"), 1.0, 1.0, 0.0))
    scores = fuse(found, False)
    assert scores[0] > scores[1] > 0.4


def test_plain() -> None:
    assert plain("**IRQL &lt;=** `DISPATCH\\_LEVEL`\n x") == "irql <= dispatch_level x"


@pytest.mark.slow
def test_find_is_exact_names_first_and_the_same_every_time() -> None:
    from tests import indexes

    index = Index.open(indexes.template()[1])
    found = Retriever(index).find("At what IRQL can I call ZebraCount?", k=8)
    assert found[0].page == "ddi/wdm/nf-wdm-zebracount"
    assert found == Retriever(Index.open(index.folder)).find("At what IRQL can I call ZebraCount?", k=8)
    assert len({(passage.page, passage.section) for passage in found}) == len(found)
    assert [passage.score for passage in found] == sorted((passage.score for passage in found), reverse=True)
    assert Retriever(index).find("", k=3) is not None


@pytest.mark.slow
def test_the_cited_paragraph_is_found_by_its_terms() -> None:
    from tests import indexes

    retriever = Retriever(Index.open(indexes.template()[1]))
    found = retriever.passage("ddi/wdm/nf-wdm-zebracount", "remarks", ["IRQL <= APC_LEVEL", "striped"])
    assert found and found.text == "Callers must run at IRQL <= APC_LEVEL, striped or not."
    found = retriever.passage("ddi/wdm/nf-wdm-zebracount", "requirements", ["<= APC_LEVEL"])
    assert found and "IRQL: <= APC_LEVEL." in found.text
    assert retriever.passage("kernel/zebras", None, ["zebra", "DISPATCH_LEVEL"])
    assert retriever.passage("kernel/zebras", "no-such-section", ["zebra"]) is None
    assert retriever.passage("kernel/lions", None, ["zebra"]) is None


@pytest.mark.slow
def test_without_a_model_words_answer_and_a_notice_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import indexes

    index = Index.open(indexes.template()[1])
    monkeypatch.setenv("KB_EMBEDDING_MODEL", "/no/such/folder")
    retriever = Retriever(index)
    assert retriever.find("zebra counter")[0].page == "kernel/zebras"
    assert "words alone" in retriever.notice and "KB_EMBEDDING_MODEL" in retriever.notice
