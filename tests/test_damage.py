"""Every file of an index cut short, and a folder of somebody else: the chat answers or says why, the doctor is right, a re-run repairs (slow)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.publish import refresh
from kb.doctor import _index
from kb.index import GENERATIONS, Index, IndexMissingError, read_pointer
from kb.retriever import Retriever
from tests import indexes

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
HARMLESS = {"ingest.lock", "sources.json", "ddis.csv"}  # a cut one changes no answer


def names() -> list[str]:
    """Every file of an index, with the parts of a name that differ from build to build left out."""
    folder = indexes.template()[1]
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def ill(folder: Path) -> dict[str, str]:
    return {found.name: found.message for found in _index(folder) if not found.ok}


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_every_file_cut_short(tmp_path: Path, share: float) -> None:
    template = indexes.template()[1]
    seen = 0
    for number, name in enumerate(names()):
        index = tmp_path / str(number)
        shutil.copytree(template, index)
        size = (index / name).stat().st_size
        if not size:
            continue
        seen += 1
        os.truncate(index / name, int(size * share))
        try:  # a question is answered, with a notice when it came from words alone, or the command to build is named
            retriever = Retriever(Index.open(index))
            assert retriever.find("zebra counter")[0].page == "kernel/zebras", name
            answered = retriever.notice == ""
        except IndexMissingError as error:
            assert "python -m ingest" in str(error), name
            answered = False
        found = ill(index)
        assert all("python -m ingest" in message for message in found.values()), (name, found)
        if name not in HARMLESS:
            assert found, f"the doctor sees nothing wrong with {name}"
        elif not answered:
            raise AssertionError(f"{name} should be harmless")
        if share != 0.5:
            shutil.rmtree(index)
            continue
        summary = refresh(index, builtin=False)
        assert summary.pages == 16, name
        assert ill(index) == {}, name
        retriever = Retriever(Index.open(index))
        assert retriever.find("zebra counter")[0].page == "kernel/zebras" and retriever.notice == "", name
        shutil.rmtree(index)
    assert seen > 15


def test_a_cut_export_in_the_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kb.embedding import cache_folder, load_for_ingest

    indexes.template()
    shutil.copytree(cache_folder() / "models", tmp_path / "models")
    monkeypatch.setenv("KB_CACHE", str(tmp_path))
    for path in (tmp_path / "models").iterdir():
        os.truncate(path, path.stat().st_size // 2)
    notices: list[str] = []
    engine = load_for_ingest(notices.append)
    assert engine.name.startswith("int8:") and notices == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="poolwise-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def as_nobody(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run our Python as the user `nobody`, who may read everything (Python may live below a home folder) and write nothing of root's."""
    environment = {**os.environ, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", "KB_INDEX": str(folder / "index"), "KB_CACHE": str(folder / "cache"), "KB_LOG": "0"}
    become = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return subprocess.run([*become, sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_another_user_may_not_write(open_folder: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is needed to become another user")
    able = as_nobody(open_folder, "-c", "import kb.index, ingest.publish, onnxruntime, os; print(os.geteuid())")
    if able.returncode or able.stdout.strip() in ("", "0"):
        pytest.skip(f"cannot become the user nobody here ({(able.stderr.splitlines() or ['?'])[-1]})")
    template_repository, template_index, _ = indexes.template()
    repository, index = open_folder / "repository", open_folder / "index"
    shutil.copytree(template_repository, repository)
    shutil.copytree(template_index, index)
    for path in [index, *index.rglob("*"), repository, *repository.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    refresh(index, indexes.find_sources(str(repository)), builtin=False)
    current = read_pointer(index)
    (repository / indexes.DOCS / "kernel" / "late.md").write_text("# Late\nA late page.", encoding="utf-8")
    for target in (index, open_folder / "none" / "index"):
        done = as_nobody(open_folder, "-m", "ingest", "--only-sources", "--quiet", "--index", str(target), str(repository))
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert "ermission denied" in done.stderr and str(target) in done.stderr and "not changed" in done.stderr
    assert read_pointer(index) == current and len(list((index / GENERATIONS).iterdir())) <= 2

    # reading needs no right to write
    question = "from kb.index import Index; from kb.retriever import Retriever; r = Retriever(Index.open()); print(r.find('zebra counter')[0].page, r.notice)"
    asked = as_nobody(open_folder, "-c", question)
    assert asked.stdout.strip() == "kernel/zebras", asked.stderr

    refresh(index, builtin=False)  # the owner's own run finishes the work
    assert Index.open(index).has_page("kernel/late") and ill(index) == {}
