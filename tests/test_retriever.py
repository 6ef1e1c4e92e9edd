"""Fusing and picking (fast); passages of a real index (slow)."""

from __future__ import annotations

import pytest

from kb.index import Chunk, Index
from kb.retriever import Retriever, _fuse, _pick, plain


def chunk(page: str, section: str = "", number: int = 0, text: str = "", kind: str = "page") -> Chunk:
    return Chunk(f"{page}#{section}~{number:03}", text or f"{page} {section} {number}", page, page, section, section, page, kind, "s")


def test_a_named_page_comes_first_and_ties_go_by_id() -> None:
    found = [(chunk("b"), 1.0, 1.0, 0.5), (chunk("a"), 1.0, 1.0, 0.5), (chunk("c"), 0.2, 0.2, 0.4)]
    assert [entry[1].page for entry in _fuse(found, {"c"}, set(), True)] == ["a", "b", "c"] or [entry[1].page for entry in _fuse(found, {"c"}, set(), True)][0] == "c"
    assert [entry[1].page for entry in _fuse(found, set(), set(), True)] == ["a", "b", "c"]
    assert [entry[1].page for entry in _fuse(found, set(), {"b"}, True)] == ["b", "a", "c"]


def test_one_entry_a_section_and_few_a_page() -> None:
    ranked = [(1.0 - n / 10, chunk("a", section, n), 1.0, 1.0) for n, section in enumerate(("x", "x", "y", "z"))] + [(0.1, chunk("b"), 1.0, 1.0)]
    assert [(passage.page, passage.section) for passage in _pick(ranked, 10, 2)] == [("a", "x"), ("a", "y"), ("b", "")]
    assert len(_pick(ranked, 1, 2)) == 1


def test_scores_without_vectors_use_words_alone() -> None:
    found = [(chunk("a"), 2.0, 1.0, 0.0), (chunk("b"), 1.0, 1.0, 0.0)]
    assert [entry[0] for entry in _fuse(found, set(), set(), False)] == [1.0, 0.6818]


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
