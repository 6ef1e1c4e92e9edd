"""The name or place of a source in, its files out: a folder, a file, an archive, a git clone, or a name in sources.yaml."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from kb.embedding import cache_folder
from kb.terms import read_yaml

MAX_BYTES = 32 * 1024 * 1024  # a longer text file is a log or a dump, not documentation
ARCHIVES = (".tar.xz", ".tar.gz", ".tgz", ".tar.bz2", ".tar", ".zip")
MARKDOWN = (".md", ".markdown", ".txt")
READABLE = (*MARKDOWN, ".html", ".htm", ".pdf", ".docx", ".h", ".hpp", ".c", ".cpp", ".cc")
CLONE_SECONDS = 1800


class SourceError(RuntimeError):
    """A source cannot be read. The message names it and the cure."""


@dataclass(frozen=True)
class Layout:
    """How the files of a source become pages; an entry of sources.yaml."""

    name: str
    marker: str = ""
    """Path that marks the pages of an official repository; empty for any other source."""
    pages: str = ""
    url: str = ""
    kind: str = "team"
    skip: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    address: str = ""
    path: str = ""


@dataclass(frozen=True)
class Source:
    """A source as the index remembers it."""

    name: str
    location: str
    """Folder, file, archive or git address."""
    folders: tuple[str, ...] = ()
    """Folders to take; empty for all."""
    layout: str = ""
    """Name in sources.yaml, empty for any other source."""
    fingerprint: str = ""
    """What `fingerprint` and the settings were when it was read."""


@dataclass(frozen=True)
class File:
    """One file of a source, not yet read."""

    path: str
    """Its path inside the source."""
    page: str
    url: str
    kind: str
    read: Callable[[], bytes]
    """May raise OSError."""
    include: Callable[[str], str | None]
    """Text of a file by its path relative to this one."""
    problem: str = ""
    """Why it cannot be taken, empty when it can."""


def layouts() -> dict[str, Layout]:
    """The entries of sources.yaml by name."""
    out: dict[str, Layout] = {}
    for name, entry in read_yaml(Path(__file__).parent / "sources.yaml").items():
        values: dict[str, Any] = dict(entry)
        out[name] = Layout(
            name=name,
            marker=str(values.get("layout", "")),
            pages=str(values.get("pages", "" if "layout" in values else f"{name}/")),
            url=str(values.get("url", "")),
            kind=str(values.get("kind", "team")),
            skip=tuple(values.get("skip", ())),
            groups={key: tuple(value) for key, value in values.get("groups", {}).items()},
            address=str(values.get("address", "")),
            path=str(values.get("path", "")),
        )
    return out


def find_sources(argument: str, folders: tuple[str, ...] = ()) -> list[Source]:
    """
    Say what a SOURCE of the command line is.

    Args:
        argument: A name in sources.yaml, a path, or a git address.
        folders: Folders to take.

    Returns:
        One source, or two when a folder or archive holds both official repositories.

    Raises:
        SourceError: There is no such thing.
    """
    known = layouts()
    if argument in known:
        entry = known[argument]
        return [Source(argument, entry.path or entry.address, folders, argument)]
    if re.match(r"(https?|file|ssh|git)://|[\w.]+@[\w.]+:", argument):
        name = _slug(argument.rstrip("/").rpartition("/")[2].removesuffix(".git"))
        found = _recognized(_walk_names(clone(argument)), known)
        return [Source(layout, argument, folders, layout) for layout in found] or [Source(name, argument, folders)]
    path = Path(argument).expanduser()
    if not path.exists():
        names = ", ".join(sorted(known))
        raise SourceError(f"{argument}: there is no such folder, file or source; give a path, a git address, or one of {names}")
    path = path.resolve()
    if path.is_dir():
        found = _recognized(_walk_names(path), known)
    elif path.name.lower().endswith(ARCHIVES):
        found = _recognized((name for name, *_ in _members(path)), known)
    else:
        found = []
    name = _slug(path.name if path.is_dir() or not path.suffix else _stem(path.name))
    return [Source(layout, str(path), folders, layout) for layout in found] or [Source(name, str(path), folders)]


def _slug(name: str) -> str:
    return re.sub(r"[^\w.]+", "-", name.lower()).strip("-") or "source"


def _stem(name: str) -> str:
    for ending in ARCHIVES:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name.rpartition(".")[0]


def _recognized(names: Iterator[str], known: Mapping[str, Layout]) -> list[str]:
    """Layouts whose marker stands in one of the paths; both may, in an archive of everything."""
    found: set[str] = set()
    marked = [entry for entry in known.values() if entry.marker]
    for name in names:
        for entry in marked:
            if entry.marker in name and name.endswith(".md"):
                found.add(entry.name)
        if len(found) == len(marked):
            break
    return sorted(found)


def _walk_names(folder: Path) -> Iterator[str]:
    for path in _walk(folder):
        yield path.as_posix()


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, sorted, without hidden folders; links to folders are not followed."""
    for base, below, files in os.walk(folder, followlinks=False):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in ("__pycache__", "node_modules"))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(base) / name


def clone(address: str) -> Path:
    """
    Fetch a git repository into the cache folder: `git clone --depth 1`, and from then on what it has changed.

    Raises:
        SourceError: git is missing or fails; the message has its last line.
    """
    target = cache_folder() / "clones" / _slug(address.split("://")[-1])
    known = (target / ".git").is_dir()
    steps = [["fetch", "--depth", "1", "-q", "origin", "HEAD"], ["reset", "--hard", "-q", "FETCH_HEAD"]] if known else [["clone", "--depth", "1", "-q", address, "."]]
    target.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    for step in steps:
        try:
            done = subprocess.run(["git", "-C", str(target), *step], capture_output=True, text=True, timeout=CLONE_SECONDS, env=environment, check=False)  # noqa: S603, S607 - no shell
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SourceError(f"{address}: git cannot be run ({error}); install git, or give a folder or an archive") from error
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise SourceError(f"{address}: git {step[0]} failed ({reason}); check the address, or give a folder or an archive")
    return target


def files(source: Source) -> Iterator[File]:
    """
    The files of a source, in a stable order.

    Raises:
        SourceError: It is gone, cannot be opened, or none of `folders` is in it.
    """
    entry = layouts().get(source.layout) or Layout(source.name, pages=f"{source.name}/")
    location = source.location
    if re.match(r"(https?|file|ssh|git)://|[\w.]+@[\w.]+:", location):
        location = str(clone(location))
    path = Path(location)
    if not path.exists():
        raise SourceError(f"{source.name}: {location} is no longer there; its pages are kept. Give its new place, or drop it: python -m ingest --remove {source.name}")
    wanted = _wanted(source.folders, entry)
    if path.is_dir():
        found = _folder_files(path, entry, wanted)
    elif path.name.lower().endswith(ARCHIVES):
        found = _archive_files(path, entry, wanted)
    else:
        found = _single(path, entry)
    taken, seen = 0, set[str]()
    for file in found:
        taken += 1
        if file.page in seen and not file.problem:
            file = replace(file, problem="another file has the same page id")
        seen.add(file.page)
        yield file
    if not taken:
        where = f"no folder {', '.join(source.folders)}" if source.folders else "no file that can be read"
        raise SourceError(f"{source.name}: {where} in {location}; it takes {', '.join(READABLE[:6])} and others, folders by name or pattern (--folders 'wdm,wdf*')")


def fingerprint(source: Source) -> str:
    """
    A short text that stays the same as long as nothing in a source can have changed.

    Returns:
        A digest of an archive or file, the commit of a clone; empty for a folder, whose files must be looked at.
    """
    if re.match(r"(https?|file|ssh|git)://|[\w.]+@[\w.]+:", source.location):
        target = clone(source.location)
        done = subprocess.run(["git", "-C", str(target), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603, S607
        return done.stdout.strip()
    path = Path(source.location)
    if not path.is_file():
        return ""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()[:32]


def _wanted(folders: tuple[str, ...], entry: Layout) -> tuple[str, ...]:
    names = [name for folder in folders for name in entry.groups.get(folder, (folder,))]
    return tuple(name.strip("/").lower() for name in names) if "*" not in names else ()


def _place(path: str, entry: Layout, wanted: tuple[str, ...]) -> tuple[str, str] | None:
    """Page id and address of a path inside a source, None when it is not to be taken."""
    if entry.marker:
        at = path.find(entry.marker)
        if at < 0 or not path.endswith(".md"):
            return None
        inner = path[at + len(entry.marker) :]
    else:
        inner = path
    parts = PurePosixPath(inner).parts
    if not parts or any(part in entry.skip for part in parts[:-1]) or parts[-1].lower() in ("toc.md", "readme.md") and entry.marker:
        return None
    if wanted and not any(fnmatch.fnmatch("/".join(parts[:depth]).lower(), name) for name in wanted for depth in range(1, len(parts) + (0 if len(parts) > 1 else 1))):
        return None
    page = inner.removesuffix(".md") if inner.lower().endswith(".md") else inner
    page = entry.pages + re.sub(r"\s+", "-", page.lower())
    return page, entry.url.format(page=page) if entry.url else entry.pages + inner


def _folder_files(folder: Path, entry: Layout, wanted: tuple[str, ...]) -> Iterator[File]:
    real = folder.resolve()
    for path in _walk(folder):
        inside = path.as_posix() if entry.marker else path.relative_to(folder).as_posix()
        place = _place(inside, entry, wanted)
        if place is None:
            continue
        problem = ""
        try:
            if path.is_symlink() and not path.resolve().is_relative_to(real):
                problem = "a link that leads out of the source"
            elif not path.is_file():
                continue
            elif path.stat().st_size > MAX_BYTES:
                problem = f"{path.stat().st_size / 2**20:.0f} MB; the limit is {MAX_BYTES // 2**20} MB"
            elif not path.name.lower().endswith(READABLE):
                problem = "not a kind of file that can be read"
        except OSError as error:
            problem = error.strerror or "cannot be read"

        def include(name: str, path: Path = path) -> str | None:
            target = (path.parent / name).resolve()
            return target.read_text(encoding="utf-8-sig", errors="replace") if target.is_relative_to(real) and target.is_file() else None

        yield File(path.relative_to(folder).as_posix(), *place, entry.kind, path.read_bytes, include, problem)


def _single(path: Path, entry: Layout) -> Iterator[File]:
    problem = "" if path.name.lower().endswith(READABLE) else "not a kind of file that can be read"
    if path.stat().st_size > MAX_BYTES:
        problem = f"{path.stat().st_size / 2**20:.0f} MB; the limit is {MAX_BYTES // 2**20} MB"
    name = re.sub(r"\s+", "-", path.stem.lower() if path.suffix.lower() == ".md" else path.name.lower())
    yield File(path.name, entry.pages + name, path.name, entry.kind, path.read_bytes, lambda _: None, problem)


def _members(path: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Name, size and reader of every regular file of an archive; nothing is unpacked to disk, so no path can escape."""
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as packed:
                for info in packed.infolist():
                    if not info.is_dir():
                        yield info.filename, info.file_size, lambda info=info: packed.read(info)  # type: ignore[misc]
        else:
            with tarfile.open(path) as tar:
                for member in tar:
                    if member.isfile():
                        yield member.name, member.size, lambda member=member: (tar.extractfile(member) or _nothing()).read()  # type: ignore[misc]
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise SourceError(f"{path.name}: the archive cannot be read ({str(error) or type(error).__name__}); fetch it again") from error
    except Exception as error:  # lzma and zlib errors share no base class
        raise SourceError(f"{path.name}: the archive is damaged ({error}); fetch it again") from error


def _nothing() -> Any:
    raise OSError("not a file")


def _archive_files(path: Path, entry: Layout, wanted: tuple[str, ...]) -> Iterator[File]:
    included: dict[str, str] = {}
    for name, size, read in _members(path):
        if "/includes/" in name and name.endswith(".md") and size <= MAX_BYTES and (not entry.marker or entry.marker in name):
            included[os.path.normpath(name).replace(os.sep, "/")] = read().decode("utf-8-sig", errors="replace")
    for name, size, read in _members(path):
        unsafe = name.startswith("/") or ".." in PurePosixPath(name).parts
        place = _place(name.lstrip("/").replace("../", ""), entry, wanted)
        if place is None:
            continue
        problem = "its path leads out of the archive" if unsafe else f"{size / 2**20:.0f} MB; the limit is {MAX_BYTES // 2**20} MB" if size > MAX_BYTES else ""
        if not problem and not name.lower().endswith(READABLE):
            problem = "not a kind of file that can be read"

        def include(target: str, name: str = name) -> str | None:
            return included.get(os.path.normpath(f"{PurePosixPath(name).parent}/{target}").replace(os.sep, "/"))

        yield File(name, *place, entry.kind, read, include, problem)
