"""Sources of every kind read (fast); whole ingests, repeated, interrupted and refused (slow)."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ingest.__main__ import main
from ingest.cache import VectorCache, key
from ingest.convert import ConvertError, decode, to_markdown
from ingest.fetch import SourceError, files, find_sources, fingerprint, layouts
from ingest.lock import LockedError, write_lock
from ingest.publish import refresh
from kb.index import GENERATIONS, OWNER, Index, read_pointer
from tests import indexes

ROOT = Path(__file__).resolve().parent.parent


def pack(folder: Path, target: Path) -> Path:
    """An archive of a folder, with members that try to escape."""
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as packed:
            for path in sorted(folder.rglob("*.md")):
                packed.write(path, f"top/{path.relative_to(folder).as_posix()}")
            packed.writestr(f"top/../../{indexes.DOCS}/kernel/escape.md", "# Escape")
    else:
        with tarfile.open(target, "w:xz") as tar:
            tar.add(folder, "top")
            for name in (f"../../{indexes.DOCS}/kernel/escape.md", f"/{indexes.DOCS}/kernel/root.md"):
                info = tarfile.TarInfo(name)
                info.size = 8
                tar.addfile(info, io.BytesIO(b"# Escape"))
            link = tarfile.TarInfo(f"top/{indexes.DOCS}/kernel/link.md")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
    return target


def taken(argument: str, folders: tuple[str, ...] = ()) -> dict[str, str]:
    """Page ids with their addresses, of what can be read."""
    return {file.page: file.url for source in find_sources(argument, folders) for file in files(source) if not file.problem}


def problems(argument: str) -> dict[str, str]:
    """Paths of what cannot be read, with the reason."""
    return {file.path: file.problem for source in find_sources(argument) for file in files(source) if file.problem}


@pytest.mark.parametrize("kind", ["folder", ".tar.xz", ".zip"])
def test_the_official_layout_is_recognized_wherever_it_lies(tmp_path: Path, kind: str) -> None:
    repository = indexes.write_repository(tmp_path / "any", 2)
    place = repository if kind == "folder" else pack(repository, tmp_path / f"a{kind}")
    found = taken(str(place))
    assert {source.name for source in find_sources(str(place))} == {"windows-driver-docs", "windows-driver-docs-ddi"}
    assert found["kernel/zebras"] == "https://learn.microsoft.com/en-us/windows-hardware/drivers/kernel/zebras"
    assert found["ddi/wdm/nf-wdm-zebracount"] == "https://learn.microsoft.com/en-us/windows-hardware/drivers/ddi/wdm/nf-wdm-zebracount"
    assert len(found) == 6
    assert not any("escape" in page or "link" in page or "root" in page for page in found)


def test_folders_are_named_by_name_pattern_or_group(tmp_path: Path) -> None:
    repository = indexes.write_repository(tmp_path / "any", 1)
    assert set(taken(str(repository / indexes.DOCS), ("kernel",))) == {"kernel/topic-0", "kernel/zebras"}
    ddis = str(repository / "wdk-ddi-src")
    assert len(taken(ddis, ("kernel",))) == 3  # the group of headers
    assert set(taken(ddis, ("ntd*",))) == {"ddi/ntddk/nf-ntddk-zebracount"}
    assert len(taken(ddis, ("*",))) == 3
    with pytest.raises(SourceError, match="no folder nothing"):
        taken(ddis, ("nothing",))


@pytest.mark.slow
def test_a_git_clone_and_its_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_CACHE", str(tmp_path / "cache"))
    repository = indexes.write_repository(tmp_path / "origin", 1)
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    address = repository.as_uri()
    assert "kernel/zebras" in taken(address)
    before = fingerprint(find_sources(address)[0])
    (repository / indexes.DOCS / "kernel" / "new.md").write_text("# New\ntext")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "two"], check=True)
    assert "kernel/new" in taken(address)
    assert fingerprint(find_sources(address)[0]) != before
    with pytest.raises(SourceError, match="git clone failed"):
        find_sources((tmp_path / "nowhere").as_uri())


def test_a_team_folder_of_all_kinds(tmp_path: Path) -> None:
    folder = tmp_path / "Team Wiki"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "Lock Rules.md").write_text("# Locks\ntext")
    (folder / "utf16.txt").write_bytes("Wörter".encode("utf-16"))
    (folder / "api.h").write_text("/** Counts zebras.\n * @param n how many */\nvoid CountZebras(int n);\n")
    (folder / "page.html").write_text("<html><body><h1>Zebras</h1><p>Striped &amp; fast</p></body></html>")
    (folder / "binary.md").write_bytes(b"\x00\x01\x02")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.md").write_text("no")
    with open(folder / "huge.md", "wb") as stream:
        stream.truncate(100 * 2**20)
    (folder / "loop").symlink_to(folder)
    (folder / "passwd.md").symlink_to("/etc/passwd")
    assert set(taken(str(folder))) == {"team-wiki/sub/lock-rules", "team-wiki/utf16.txt", "team-wiki/api.h", "team-wiki/page.html", "team-wiki/binary"}
    found = problems(str(folder))
    assert found["huge.md"].startswith("100 MB")
    assert "leads out" in found["passwd.md"]
    assert "kind of file" in found["picture.png"]


@pytest.mark.parametrize(
    ("name", "data", "holds"),
    [
        ("a.md", b"\xef\xbb\xbftext", "text"),
        ("a.txt", "über".encode("cp1252"), "über"),
        ("a.md", "x".encode("utf-16"), "x"),
        ("a.h", b"/// Adds.\n/// More.\nint Add(int a);\n", "## Add\n\nAdds.\nMore."),
        ("a.c", b"/*! @brief Frees.\n @note Twice is a bug. */\nvoid Free(void)\n{\n}\n", "## Free\n\nFrees."),
        pytest.param("a.html", b"<h1>T</h1><p>a &lt;= b</p>", "# T\n\na <= b", marks=pytest.mark.slow),
    ],
)
def test_files_become_markdown(name: str, data: bytes, holds: str) -> None:
    assert holds in to_markdown(name, data)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.md", b"", "empty"),
        ("a.md", b"a\x00b", "binary"),
        ("a.h", b"int x;", "no doc comment"),
        ("a.docx", b"nonsense", "converted"),
        ("a.pdf", b"nonsense", "converted"),
        pytest.param("a.pdf", b"%PDF-1.4 nonsense", "(converted|no text|markitdown)", marks=pytest.mark.slow),
    ],
)
def test_bad_files_say_why(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(ConvertError, match=reason):
        to_markdown(name, data)


def test_decode_never_fails_on_text() -> None:
    assert decode(bytes(range(32, 256)))


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\xfd7zXZ\x00" + b"\x00" * 40])
@pytest.mark.parametrize("name", ["a.tar.xz", "a.zip"])
def test_a_damaged_archive_is_one_line(tmp_path: Path, name: str, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_bytes(content)
    assert main([str(tmp_path / name), "--quiet", "--index", str(tmp_path / "index")]) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and name in printed and "again" in printed


@pytest.mark.parametrize("arguments", [["/no/such/place"], ["--remove", "nothing"], ["no-such-name"]])
def test_what_is_not_there_is_one_line(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--quiet", "--index", str(tmp_path / "index")]) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and printed.startswith("ingest: ")


@pytest.mark.parametrize("arguments", [["--folders", "kernel"], ["--no-such-option"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with write_lock(tmp_path) as left:
        assert not left
        with pytest.raises(LockedError, match=f"process {os.getpid()} on"), write_lock(tmp_path):
            pass
    assert not (tmp_path / OWNER).exists()
    (tmp_path / OWNER).write_text("{}")
    with write_lock(tmp_path) as left:
        assert left


@pytest.mark.parametrize("damage", ["none", "garbage", "cut", "folder"])
def test_the_vector_cache_keeps_vectors_and_survives_damage(tmp_path: Path, damage: str) -> None:
    names = [key("engine", str(number)) for number in range(3000)]
    vectors = np.random.default_rng(1).normal(size=(3000, 8)).astype(np.float32)
    cache = VectorCache(tmp_path)
    cache.put(names, vectors)
    assert cache.missing(names) == []
    assert (cache.get(names[:2], 8) == vectors[:2].astype(np.float16)).all()
    with pytest.raises(KeyError):
        cache.get(names, 9)
    cache.close()
    if damage == "garbage":
        cache.path.write_bytes(b"nonsense" * 1000)
    elif damage == "cut":
        os.truncate(cache.path, cache.path.stat().st_size // 2)
    elif damage == "folder":
        shutil.rmtree(tmp_path)
        tmp_path.write_text("a file where the folder was")
    again = VectorCache(tmp_path)
    assert len(again.missing(names)) == (0 if damage == "none" else 3000)
    again.put(names, vectors)
    assert again.missing(names) == []
    again.close()


def test_sources_yaml_is_whole() -> None:
    for entry in layouts().values():
        assert entry.address.startswith("https://") and entry.url.endswith("{page}") and entry.marker.endswith("/") and entry.kind in ("page", "ddi", "team")


# whole ingests


def ingest(*arguments: str, expect: int = 0) -> dict[str, object]:
    """Run the command in a process of its own; its summary."""
    done = subprocess.run([sys.executable, "-m", "ingest", "--only-sources", "--json", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    if expect:
        assert done.stderr.count("\n") == 1, done.stderr
        return {"error": done.stderr}
    return dict(json.loads(done.stdout.splitlines()[-1])["summary"])


@pytest.mark.slow
def test_nothing_changed_writes_nothing_and_one_page_costs_one_page(tmp_path: Path) -> None:
    repository, index = indexes.copy(tmp_path)
    before = read_pointer(index)
    stamps = {path: path.stat().st_mtime_ns for path in index.rglob("*") if path.is_file() and path.name not in ("ingest.lock",)}
    again = ingest("--index", str(index))
    assert not again["changed"] and again["embedded"] == 0 and read_pointer(index) == before
    assert stamps == {path: path.stat().st_mtime_ns for path in index.rglob("*") if path.is_file() and path.name not in ("ingest.lock",)}

    kernel = repository / indexes.DOCS / "kernel"
    (kernel / "topic-1.md").write_text(indexes.page("Topic 1", f"A wholly new text {time.time_ns()}.", f"And another {time.time_ns()}."), encoding="utf-8")
    shutil.move(kernel / "topic-2.md", kernel / "moved.md")
    (kernel / "topic-3.md").unlink()
    changed = ingest("--index", str(index))
    assert changed["embedded"] == 2 and changed["files_changed"] == 2 and changed["files_removed"] == 2
    opened = Index.open(index)
    assert opened.has_page("kernel/moved") and not opened.has_page("kernel/topic-2") and not opened.has_page("kernel/topic-3")
    assert "wholly new" in opened.page("kernel/topic-1")[0].text
    assert {path.name for path in (index / GENERATIONS).iterdir()} == {read_pointer(index), before}, "the previous generation is kept"


@pytest.mark.slow
def test_a_source_comes_goes_and_is_kept_when_it_cannot_be_read(tmp_path: Path) -> None:
    repository, index = indexes.copy(tmp_path)
    team = tmp_path / "team"
    team.mkdir()
    (team / "rules.md").write_text("# House rules\nOur drivers count zebras at noon.")
    (team / "bad.md").write_bytes(b"\x00")
    added = ingest("--index", str(index), str(team))
    assert added["sources"]["team"] == 1 and "team: bad.md: binary, in spite of its ending" in added["skipped"]  # type: ignore[index, operator]
    assert Index.open(index).search_words("zebras at noon", 1)[0][0].kind == "team"
    shutil.rmtree(repository)
    kept = ingest("--index", str(index))
    assert len(kept["kept"]) == 2 and Index.open(index).has_page("kernel/zebras")  # type: ignore[arg-type]
    removed = ingest("--index", str(index), "--remove", "team")
    assert "team" not in removed["sources"]  # type: ignore[operator]
    assert not Index.open(index).has_page("team/rules")


@pytest.mark.slow
def test_two_builds_of_the_same_are_the_same(tmp_path: Path) -> None:
    repository, index = indexes.copy(tmp_path)
    (repository / indexes.DOCS / "kernel" / "late.md").write_text("# Late\nA late page.")
    ingest("--index", str(index))
    ingest("--index", str(tmp_path / "fresh"), str(repository))
    one, two = Index.open(index), Index.open(tmp_path / "fresh")
    assert one.manifest["content"] == two.manifest["content"]
    vector = one.embed_query("zebra")
    assert one.nearest(vector, 20) == two.nearest(vector, 20)
    assert one.search_words("zebra topic", 20) == two.search_words("zebra topic", 20)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_an_index_that_answers(tmp_path: Path) -> None:
    moments = int(os.environ.get("KB_KILLS", "5"))
    repository, index = indexes.copy(tmp_path)
    kernel = repository / indexes.DOCS / "kernel"
    (kernel / "round-0.md").write_text(indexes.page("Round 0", "The round0 marker."), encoding="utf-8")
    start = time.monotonic()
    ingest("--index", str(index))
    whole = time.monotonic() - start
    for number in range(1, moments + 1):
        for extra in range(20):
            (kernel / f"round-{extra}.md").write_text(indexes.page(f"Round {extra}", f"The round{number} marker of {extra}."), encoding="utf-8")
        process = subprocess.Popen([sys.executable, "-m", "ingest", "--only-sources", "--quiet", "--index", str(index)], cwd=ROOT, stderr=subprocess.DEVNULL)
        time.sleep(whole * (0.35 + 0.7 * number / moments))
        process.send_signal(signal.SIGKILL)
        process.wait()
        opened = Index.open(index)
        assert opened.search_words("zebra counter", 1)[0][0].page == "kernel/zebras"
        assert opened.nearest(opened.embed_query("zebra counter"), 1)
        ingest("--index", str(index))
        opened = Index.open(index)
        assert opened.search_words(f"round{number}", 1), "the run after the kill finishes the work"
        assert not (index / OWNER).exists()
        assert len(list((index / GENERATIONS).iterdir())) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chunks.db", "vectors.npy", "manifest.json", "chroma/chroma.sqlite3", "words/vocab.index.json"])
def test_a_truncated_index_is_built_again_with_its_sources(tmp_path: Path, name: str) -> None:
    _, index = indexes.copy(tmp_path)
    current = read_pointer(index)
    assert current
    path = index / GENERATIONS / current / name
    os.truncate(path, path.stat().st_size // 2)
    summary = ingest("--index", str(index))
    assert summary["changed"]
    assert Index.open(index).has_page("kernel/zebras")
    assert not ingest("--index", str(index))["changed"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make a file system or another user")
def test_a_full_disk_and_a_folder_of_somebody_else(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        assert "space" in str(ingest("--index", str(small / "index"), str(indexes.template()[0]), expect=1)["error"]).lower()
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.slow
def test_the_built_in_knowledge_is_indexed_and_a_malformed_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest import knowledge

    found = list(knowledge.files())
    (tmp_path / "broken.yaml").write_text("- id: x\n  title: [", encoding="utf-8")
    monkeypatch.setattr(knowledge, "files", lambda: iter([*found[:3], ("broken.yaml", tmp_path / "broken.yaml")]))
    summary = refresh(tmp_path / "index")
    assert [line.split(":")[1].strip() for line in summary.skipped][-1] == "broken.yaml"
    assert summary.sources["knowledge"] > 3
