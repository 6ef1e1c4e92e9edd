"""The doctor on whole and on broken indexes: it asks, it does not count."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from kb.doctor import _index, check
from kb.index import GENERATIONS, MODELS, OWNER, read_pointer


def bad(folder: Path) -> dict[str, str]:
    return {found.name: found.message for found in check(folder) if not found.ok}


def test_no_index(tmp_path: Path) -> None:
    found = [one for one in _index(tmp_path / "none") if not one.ok]
    assert found and "python -m ingest" in found[0].message


def test_a_wrong_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_EMBEDDING_MODEL", str(tmp_path / "none"))
    assert "KB_EMBEDDING_MODEL" in bad(tmp_path)["model"]


@pytest.mark.slow
def test_a_whole_index(tmp_path: Path) -> None:
    from tests import indexes

    found = bad(indexes.template()[1])
    assert not {name: text for name, text in found.items() if name not in ("knowledge", "packages")}


@pytest.mark.slow
def test_another_model_than_the_one_that_built_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kb.embedding import packaged_folder
    from tests import indexes

    other = tmp_path / "model"
    shutil.copytree(packaged_folder(), other)
    with open(other / "model.safetensors", "r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\x01")
    monkeypatch.setenv("KB_EMBEDDING_MODEL", str(other))
    found = bad(indexes.template()[1])
    assert "python -m ingest" in found["index model"] and "engine" in found


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "vectors.npy",
        "scan.onnx",
        "chunks.db",
        "manifest.json",
        "words/data.csc.index.npy",
        "words/vocab.index.json",
        "words/indices.csc.index.npy",
        "page_words/indptr.csc.index.npy",
        "title_words/data.csc.index.npy",
        "page_row.npy",
        "chroma/chroma.sqlite3",
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_each_truncated_file_is_found(tmp_path: Path, name: str, share: float) -> None:
    from tests import indexes

    shutil.copytree(indexes.template()[1], tmp_path / "index")
    current = read_pointer(tmp_path / "index")
    assert current
    path = tmp_path / "index" / GENERATIONS / current / name
    os.truncate(path, int(path.stat().st_size * share))
    found = bad(tmp_path / "index")
    assert "python -m ingest" in (found.get("query") or found.get("index") or ""), found


@pytest.mark.slow
def test_swapped_vectors_are_found_by_asking(tmp_path: Path) -> None:
    from tests import indexes

    shutil.copytree(indexes.template()[1], tmp_path / "index")
    current = read_pointer(tmp_path / "index")
    assert current
    path = tmp_path / "index" / GENERATIONS / current / "vectors.npy"
    vectors = np.load(path)
    np.save(path, np.random.default_rng(1).normal(size=vectors.shape).astype(np.float16) / 20)
    assert "found" in bad(tmp_path / "index")["query"]


@pytest.mark.slow
def test_a_killed_ingest_and_a_lost_export_are_told(tmp_path: Path) -> None:
    from tests import indexes

    shutil.copytree(indexes.template()[1], tmp_path / "index")
    (tmp_path / "index" / OWNER).write_text('{"pid": 1, "host": "x", "since": "then"}')
    assert "process 1 on x" in bad(tmp_path / "index")["lock"]
    shutil.rmtree(tmp_path / "index" / MODELS)
    assert "engine" not in bad(tmp_path / "index")  # it is exported again from the packaged weights
