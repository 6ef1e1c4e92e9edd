"""Tokens and exact ranking (fast); an index opened, searched and followed through a rebuild (slow)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kb.index import GENERATIONS, Index, IndexMissingError, default_folder, read_pointer
from kb.index.words import best, tokens


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("KeWaitForSingleObject", ["kewaitforsingleobject", "ke", "wait", "singl", "object"]),
        ("DISPATCH_LEVEL", ["dispatch_level", "dispatch", "level"]),
        ("allocating allocations", ["alloc", "alloc"]),
        ("stop 0x000000D1", ["stop", "0xd1"]),
        ("the and of", []),
        ("EvtIoRead's", ["evtioread", "evt", "io", "read"]),
        ("MDLs and DPCs", ["mdl", "dpc"]),
        ("", []),
    ],
)
def test_tokens(text: str, found: list[str]) -> None:
    assert tokens(text) == found


def test_ties_go_to_the_lower_row_and_zeros_are_left_out() -> None:
    scores = np.array([0.5, 2.0, 0.0, 2.00001, 0.5, 0.5], np.float32)
    assert best(scores, 3) == [(1, 2.0), (3, 2.0), (0, 0.5)]
    assert best(scores, 10) == [(1, 2.0), (3, 2.0), (0, 0.5), (4, 0.5), (5, 0.5)]
    assert best(scores, 0) == []
    assert best(np.zeros(0, np.float32), 3) == []


def test_a_missing_index_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(IndexMissingError, match="python -m ingest"):
        Index.open(tmp_path)


def test_a_damaged_generation_names_the_command(tmp_path: Path) -> None:
    (tmp_path / GENERATIONS / "000001").mkdir(parents=True)
    (tmp_path / "current").write_text("000001")
    with pytest.raises(IndexMissingError, match="damaged.*python -m ingest"):
        Index.open(tmp_path)
    (tmp_path / GENERATIONS / "000001" / "manifest.json").write_text(json.dumps({"format": 0}))
    with pytest.raises(IndexMissingError, match="format 0"):
        Index.open(tmp_path)


def test_the_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KB_INDEX", str(tmp_path))
    assert default_folder() == tmp_path
    assert read_pointer(tmp_path) is None


@pytest.mark.slow
def test_words_and_vectors_find_what_was_indexed() -> None:
    from tests import indexes

    index = Index.open(indexes.template()[1])
    assert index.search_words("zebra counter", 3)[0][0].page == "kernel/zebras"
    assert index.nearest(index.embed_query("animals with stripes, how many are there"), 5)[0][0].page.endswith(("zebras", "zebracount", "zebrafree"))
    assert index.ready_vectors
    assert index.has_page("kernel/zebras") and not index.has_page("kernel/lions")
    assert index.pages_named("zebracount") == ["ddi/ntddk/nf-ntddk-zebracount", "ddi/wdm/nf-wdm-zebracount"]
    assert [chunk.section for chunk in index.page("ddi/wdm/nf-wdm-zebracount")] == ["description", "parameters", "remarks", "requirements"]
    assert index.section("kernel/zebras", "counting-zebras") == index.section("kernel/zebras", "") == index.section("kernel/zebras", None)
    assert index.section("kernel/zebras", "remarks")[0].url == "https://learn.microsoft.com/en-us/windows-hardware/drivers/kernel/zebras#remarks"


@pytest.mark.slow
@pytest.mark.parametrize("exact", [True, False])
def test_the_scan_and_chroma_rank_as_brute_force_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    from kb.index import vectors

    random = np.random.default_rng(7)
    stored = random.normal(size=(3000, 64)) + 2 * random.normal(size=(30, 64)).repeat(100, axis=0)
    half = (stored / np.linalg.norm(stored, axis=1, keepdims=True)).astype(np.float16)
    ids = [f"id{row:04}" for row in range(3000)]
    if not exact:
        monkeypatch.setattr(vectors, "EXACT_ROWS", 100)
    assert sum(vectors.write_vectors(tmp_path, ids, half)) == 3000
    store = vectors.VectorStore(tmp_path, ids)
    for row in range(0, 3000, 271):
        query = half[row].astype(np.float32)
        assert store.nearest(query, 50) == best(half.astype(np.float32) @ query, 50)


@pytest.mark.slow
def test_the_vectors_are_those_of_the_model() -> None:
    from kb.embedding import Fp32Engine, find_model, said
    from tests import indexes

    index = Index.open(indexes.template()[1])
    text = index.page("kernel/zebras")[0].full
    reference = Fp32Engine(find_model()).embed([said(text)])[0]
    assert abs(float(np.linalg.norm(reference)) - 1) < 1e-4
    assert float(reference @ index.embed_query(text)) > 0.985
    assert index.nearest(index.embed_query(text), 1)[0][1] > 0.999


@pytest.mark.slow
def test_an_open_index_follows_a_rebuild_without_a_failed_question(tmp_path: Path) -> None:
    from ingest.publish import refresh
    from tests import indexes

    repository, folder = indexes.copy(tmp_path)
    index = Index.open(folder)
    before = read_pointer(folder)
    assert not index.search_words("giraffe", 1)
    (repository / indexes.DOCS / "kernel" / "giraffes.md").write_text(indexes.page("Giraffes", "A giraffe is tall."), encoding="utf-8")
    for _ in range(2):
        refresh(folder, builtin=False)
        assert index.search_words("giraffe", 1)[0][0].page == "kernel/giraffes"
    assert read_pointer(folder) != before
    (folder / "current").write_text("999999")  # a pointer to nothing: the generation at hand goes on serving
    assert index.search_words("giraffe", 1)
    assert "damaged" in index.notice
