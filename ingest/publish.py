"""Sources in, a new generation of the index out: built beside the old one, checked by querying, then switched to."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest import knowledge
from ingest.build import clear, discard, index_words, put_pointer, readable, remember, remembered
from ingest.cache import VectorCache, key
from ingest.chunks import CHUNKS_VERSION, Splitter, embedded
from ingest.convert import ConvertError, to_markdown
from ingest.fetch import File, Source, SourceError, files, fingerprint
from ingest.lock import write_lock
from ingest.pages import PAGES_VERSION, Page, read_page
from ingest.progress import Progress
from ingest.summary import Summary
from kb.embedding import MAX_TOKENS, Engine, Tokens, cache_folder, find_model, keep_export, load_for_ingest, packaged_folder
from kb.index import FORMAT, GENERATIONS, MODELS, read_pointer
from kb.index.check import faults, manifest_of, sizes
from kb.index.remote import INGEST_SECONDS, Server, ServerError, collection_of, write_remote
from kb.index.store import FILE, SCHEMA, Chunk, add_chunks
from kb.index.vectors import EXACT_ROWS, write_vectors
from kb.index.words import WORDS_VERSION
from kb.terms import KnowledgeError

SETTINGS = f"pages {PAGES_VERSION}, chunks {CHUNKS_VERSION}, tokens {MAX_TOKENS}, knowledge {knowledge.KNOWLEDGE_VERSION}"
EMBED_BATCH = 512  # texts between two commits of the cache: what a kill can cost
READ_AHEAD = 64  # files that are cut while the ones before them are stored
COPY_SHARE = 0.3  # of the chunks: up to here Chroma's database is copied and changed, beyond it is built afresh


class PublishError(RuntimeError):
    """The new generation was not put in place; the message says why. The old one goes on serving."""


def refresh(folder: Path, add: Sequence[Source] = (), remove: Sequence[str] = (), progress: Progress | None = None, builtin: bool = True) -> Summary:
    """
    Bring an index up to date: the built-in knowledge, every source it already has, and the ones to add.

    Args:
        folder: The index folder.
        add: Sources to add or to refresh, replacing what the index remembers of them. When given, other sources are not read again.
        remove: Names or locations of sources to drop.
        progress: Where to tell.
        builtin: False leaves the built-in knowledge out, for measurements.

    Returns:
        What was done. `changed` is false when nothing had to be, and then nothing was written.

    Raises:
        LockedError: Another process is writing it.
        PublishError: The new generation did not pass its check, or the disk is full.
        SourceError: An added source cannot be read.
        EmbeddingError: There is no embedding engine.
        OSError: The folder cannot be written.
    """
    progress = progress or Progress("quiet")
    with write_lock(folder) as interrupted:
        current = read_pointer(folder)
        if interrupted:
            progress.note("The last ingest was interrupted; clearing what it left.")
        clear(folder, current)
        work = _Work(folder, current, progress)
        try:
            return work.run(add, remove, builtin)
        except ServerError as error:
            raise PublishError(f"The index was not changed: {error}. Start the server or unset KB_CHROMA_URL, then run it again: python -m ingest") from error
        except sqlite3.Error as error:
            raise PublishError(f"{folder}: the index was not changed ({error}). Free some space or check the disk, then run it again: python -m ingest") from error
        finally:
            work.close()


class _Unread(NamedTuple):
    """One file of a source: how to read it, and how to make pages of what was read."""

    path: str
    read: Callable[[], bytes]
    pages: Callable[[bytes], list[Page]]
    problem: str = ""


class _Cut(NamedTuple):
    """One changed file on its way: its pages with their chunks, when they are cut."""

    path: str
    digest: str
    problem: str
    pages: Future[list[tuple[Page, list[Chunk]]]] | None


def _own_pages(name: str, path: Path, data: bytes) -> list[Page]:
    return knowledge.read_file(name, path)


def _pages(source: str, file: File, data: bytes) -> list[Page]:
    return [read_page(file.page, to_markdown(file.path, data), file.url, file.kind, source, file.include)]


class _Work:
    """One ingest, from the old generation to the new one. The new folder is made at the first change."""

    def __init__(self, folder: Path, current: str | None, progress: Progress) -> None:
        self.folder, self.progress, self.summary = folder, progress, Summary()
        self.old = folder / GENERATIONS / current if current else None
        self.manifest: dict[str, Any] = dict(manifest_of(self.old)) if self.old else {}
        self.known = {
            name: Source(name, entry["location"], tuple(entry["folders"]), entry["layout"], entry.get("fingerprint", ""))
            for name, entry in (self.manifest.get("origins") or remembered(folder)).items()
        }
        if self.old is None or self.manifest.get("format") != FORMAT or not readable(self.old):
            self.old, self.manifest = None, {}  # built again from the sources, which are remembered
        numbers = [int(path.name) for path in (folder / GENERATIONS).glob("*") if path.name.isdigit()]
        self.new = folder / GENERATIONS / f"{max([0, *numbers]) + 1:06}"
        self.database: sqlite3.Connection | None = None
        self.started = False
        self.splitter: Splitter | None = None
        self.loading = threading.Lock()
        self.stopping = threading.Event()
        self.cutters = ThreadPoolExecutor(os.cpu_count() or 1)
        self.engine: Engine | None = None
        self.server: Server | None = None

    def close(self) -> None:
        self.cutters.shutdown(cancel_futures=True)
        if self.database is not None:
            self.database.close()
        if self.started:
            discard(self.new)

    def read(self) -> sqlite3.Connection:
        """The database to look things up in: the new one once it is begun."""
        if self.database is None:
            self.database = sqlite3.connect(f"{(self.old / FILE).resolve().as_uri()}?mode=ro&immutable=1", uri=True) if self.old else sqlite3.connect(":memory:")
            if not self.old:
                self.database.executescript(SCHEMA)
        return self.database

    def write(self) -> sqlite3.Connection:
        """The new generation's database, begun as a copy of the old one."""
        if not self.started:
            self.read().close()
            self.started = True
            self.new.mkdir(parents=True)
            if self.old:
                shutil.copyfile(self.old / FILE, self.new / FILE)
            self.database = sqlite3.connect(self.new / FILE)
            self.database.execute("PRAGMA journal_mode=OFF")  # nobody reads this file before it is whole
            self.database.execute("PRAGMA synchronous=OFF")
            if not self.old:
                self.database.executescript(SCHEMA)
            self.database.execute("BEGIN")
        assert self.database is not None
        return self.database

    def run(self, add: Sequence[Source], remove: Sequence[str], builtin: bool) -> Summary:
        """Everything, in order."""
        summary, progress = self.summary, self.progress
        self.server = Server.from_environment(INGEST_SECONDS)
        if self.server is not None:
            self.server.ping()  # before any work
        known = dict(self.known)
        for wanted in remove:
            hit = [source.name for source in known.values() if wanted in (source.name, source.location)]
            if not hit:
                raise SourceError(f"{wanted}: the index has no such source; it has {', '.join(sorted(known)) or 'none'}")
            for name in hit:
                self._drop(name)
                known.pop(name)
                summary.tables_stale = True
        progress.start("read", unit="files")
        if builtin:
            self._files(knowledge.SOURCE, (_Unread(name, path.read_bytes, partial(_own_pages, name, path)) for name, path in knowledge.files()))
        for source in add or list(known.values()):
            before = known.get(source.name)
            if add and before and not source.folders and before.folders:
                source = replace(source, folders=before.folders)
            try:
                stamp = fingerprint(source)
                source = replace(source, fingerprint=f"{stamp} {SETTINGS}" if stamp else "")
                if stamp and source == before and self.old:
                    continue
                touched = summary.files_changed + summary.files_removed
                self._source(source)
                summary.tables_stale |= summary.files_changed + summary.files_removed > touched
                known = {**known, source.name: source}
            except SourceError as error:
                if add:
                    raise
                summary.kept.append(str(error))
                continue
        if known != self.known:
            self.write()
        self.known, summary.all_sources = known, list(known.values())
        progress.start("model")
        self.engine = load_for_ingest(summary.notices.append)
        moved = bool(self.manifest.get("chroma")) != (self.server is not None)
        if not self.started and (self.old is None or moved or self.manifest.get("engine") != self.engine.name or self.manifest.get("words") != WORDS_VERSION or self._damaged()):
            self.write()
        self._counts()
        if self.started:
            self._finish(self.engine)
            summary.changed = True
        else:
            keep_export(self.engine, self.folder / MODELS)  # copies only what is missing or cut short
        progress.stop()
        summary.seconds = progress.seconds
        return summary

    def _damaged(self) -> bool:
        """Whether the generation at hand fails its check, so that it must be built again."""
        assert self.old is not None
        found = faults(self.old, chroma=False)  # opening Chroma writes to its files
        self.summary.notices += [f"The index was damaged ({fault}); it is built again." for fault in found[:1]]
        return bool(found)

    def _counts(self) -> None:
        select = self.read().execute
        self.summary.pages, self.summary.chunks = select("SELECT count(DISTINCT page), count(*) FROM chunks").fetchone()
        self.summary.sources = dict(select("SELECT source, count(DISTINCT page) FROM chunks GROUP BY source ORDER BY source").fetchall())
        self.summary.skipped = [
            f"{source}: {path}: {problem}" for source, path, problem in select("SELECT source, path, problem FROM files WHERE problem <> '' ORDER BY source, path")
        ]
        self.summary.generation = (self.new if self.started else self.old or self.new).name

    # reading sources

    def _source(self, source: Source) -> None:
        self._files(source.name, (_Unread(file.path, file.read, partial(_pages, source.name, file), file.problem) for file in files(source)))

    def _files(self, source: str, found: Iterable[_Unread]) -> None:
        """Take over the files of a source: unchanged ones as they are, changed ones anew; forget the ones that are gone."""
        seen: dict[str, str] = {}
        before = dict(self.read().execute("SELECT path, digest FROM files WHERE source = ?", (source,)).fetchall())
        under_way: deque[_Cut] = deque()
        for path, read, pages, problem in found:
            self.summary.files += 1
            self.progress.step()
            data = b""
            if not problem:
                try:
                    data = read()
                except OSError as error:
                    problem = error.strerror or "cannot be read"
            digest = hashlib.blake2b(data + f"\n{SETTINGS}\n{problem}".encode(), digest_size=16).hexdigest()
            seen[path] = digest
            if before.get(path) != digest:
                self.summary.files_changed += 1
                under_way.append(_Cut(path, digest, problem, None if problem else self.cutters.submit(self._cut, pages, data)))
            while len(under_way) > READ_AHEAD:
                self._store(source, under_way.popleft())
        while under_way:
            self._store(source, under_way.popleft())
        for path in before.keys() - seen.keys():
            self.summary.files_removed += 1
            self.write().execute("DELETE FROM chunks WHERE source = ? AND path = ?", (source, path))
            self.write().execute("DELETE FROM files WHERE source = ? AND path = ?", (source, path))

    def _cut(self, pages: Callable[[bytes], list[Page]], data: bytes) -> list[tuple[Page, list[Chunk]]]:
        """One file's pages with their chunks. Runs beside the storing of earlier files: counting tokens lets other threads run."""
        with self.loading:
            if self.splitter is None:
                self.splitter = Splitter(Tokens(find_model().folder or packaged_folder()))
        return [(page, self.splitter.split(page)) for page in pages(data)]

    def _store(self, source: str, cut: _Cut) -> None:
        """Put a changed file's chunks in the place of its old ones."""
        database = self.write()
        database.execute("DELETE FROM chunks WHERE source = ? AND path = ?", (source, cut.path))
        count, problem = 0, cut.problem
        try:
            for page, chunks in cut.pages.result() if cut.pages else ():
                taken = database.execute("SELECT source, path FROM chunks WHERE page = ? LIMIT 1", (page.id,)).fetchone()
                if taken:
                    problem = f"page {page.id} comes already from {taken[0]}: {taken[1]}"
                elif not chunks:
                    problem = "no text in it"
                else:
                    add_chunks(database, ((chunk, b"") for chunk in chunks), cut.path)
                    count += 1
        except (ConvertError, KnowledgeError) as error:
            problem = str(error)
        except (ValueError, RecursionError, sqlite3.IntegrityError) as error:  # one bad file must not stop the rest
            database.execute("DELETE FROM chunks WHERE source = ? AND path = ?", (source, cut.path))
            problem = f"{type(error).__name__}: {error}"
        database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", (source, cut.path, cut.digest, count, problem))

    def _drop(self, source: str) -> None:
        self.write().execute("DELETE FROM chunks WHERE source = ?", (source,))
        self.write().execute("DELETE FROM files WHERE source = ?", (source,))

    # building the generation

    def _finish(self, engine: Engine) -> None:
        database, progress, folder = self.write(), self.progress, self.new
        database.execute("COMMIT")
        if not self.summary.chunks:
            raise PublishError("There is nothing to index: no source gave a page. The index was not changed")
        cache = VectorCache(cache_folder())
        try:
            self._embed(database, engine, cache)
            progress.start("index", 2 * self.summary.chunks, "entries")
            database.execute("BEGIN")
            database.execute("UPDATE chunks SET row = place_of.n - 1 FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM chunks) AS place_of WHERE chunks.id = place_of.id")
            database.execute("DELETE FROM names")
            database.executemany(
                "INSERT OR IGNORE INTO names VALUES (?, ?)",
                ((name.lower(), page) for page, names in database.execute("SELECT DISTINCT page, names FROM chunks WHERE names <> ''").fetchall() for name in names.split()),
            )
            database.execute("COMMIT")
            ids, keys = map(list, zip(*database.execute("SELECT id, vector FROM chunks ORDER BY row"), strict=True))
            vectors = cache.get(keys, engine.width)
        finally:
            cache.close()
        with ThreadPoolExecutor(1) as beside:  # Chroma takes one core; words take the other
            writing = beside.submit(self._write_vectors, engine, ids, keys, vectors)
            try:
                index_words(database, folder, progress)
            except BaseException:  # also an interrupt: let go of Chroma soon
                self.stopping.set()
                raise
            writing.result()
        self._switch(database, engine)

    def _write_vectors(self, engine: Engine, ids: list[str], keys: list[bytes], vectors: NDArray[np.float16]) -> None:
        """Put the vectors of all chunks where they are searched."""
        if self.server is not None:
            for done in write_remote(self.server, self.new, f"poolwise-{uuid.uuid4().hex}", ids, vectors):
                self._wrote(done)
            return
        old_keys = self._copy_chroma(engine, dict(zip(ids, keys, strict=True)))
        changed = frozenset(id for id, name in zip(ids, keys, strict=True) if old_keys and id in old_keys and old_keys[id] != name)
        for done in write_vectors(self.new, ids, vectors, frozenset(old_keys) if old_keys else None, changed):
            self._wrote(done)

    def _wrote(self, rows: int) -> None:
        self.progress.step(rows)
        if self.stopping.is_set():
            raise PublishError("Writing the vectors was stopped")

    def _embed(self, database: sqlite3.Connection, engine: Engine, cache: VectorCache) -> None:
        """Give every chunk the key of its vector and every key a vector."""
        rows = (
            database.execute("SELECT id, kind, section, title, heading, text FROM chunks").fetchall()
            if self.manifest.get("engine") != engine.name
            else database.execute("SELECT id, kind, section, title, heading, text FROM chunks WHERE vector = x''").fetchall()
        )
        fresh: dict[bytes, str] = {}
        named: list[tuple[bytes, str]] = []
        for id, *parts in rows:
            full = embedded(*parts)
            name = key(engine.name, full)
            fresh[name] = full
            named.append((name, id))
        database.execute("BEGIN")
        database.executemany("UPDATE chunks SET vector = ? WHERE id = ?", named)
        database.execute("COMMIT")
        wanted = fresh.keys() if len(rows) == self.summary.chunks else {name for (name,) in database.execute("SELECT DISTINCT vector FROM chunks")}
        missing = cache.missing(wanted)
        for name in missing:
            if name not in fresh:  # the cache was cleared: read the text again
                fresh[name] = embedded(*database.execute("SELECT kind, section, title, heading, text FROM chunks WHERE vector = ? LIMIT 1", (name,)).fetchone())
        missing.sort(key=lambda name: -len(fresh[name]))
        self.progress.start("embed", len(missing), "chunks")
        self.summary.embedded = len(missing)
        for start in range(0, len(missing), EMBED_BATCH):
            some = missing[start : start + EMBED_BATCH]
            cache.put(some, engine.embed([fresh[name] for name in some], self.progress.step))

    def _copy_chroma(self, engine: Engine, now: dict[str, bytes]) -> dict[str, bytes] | None:
        """Copy the old generation's Chroma database when few chunks changed; its ids and keys, None to build afresh."""
        if self.old is None or self.manifest.get("chroma") or self.manifest.get("engine") != engine.name or faults(self.old):
            return None
        old = sqlite3.connect(f"{(self.old / FILE).resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        keys = dict(old.execute("SELECT id, vector FROM chunks").fetchall())
        old.close()
        if sum(keys.get(id) != name for id, name in now.items()) + len(keys.keys() - now.keys()) > COPY_SHARE * len(now):
            return None
        shutil.copytree(self.old / "chroma", self.new / "chroma")
        return keys

    def _switch(self, database: sqlite3.Connection, engine: Engine) -> None:
        """Write the manifest, check by querying, and point to the new generation."""
        self.progress.start("check")
        digest = hashlib.blake2b(digest_size=16)
        for id, name in database.execute("SELECT id, vector FROM chunks ORDER BY row"):
            digest.update(id.encode() + name)
        database.close()
        model = find_model()
        keep_export(engine, self.folder / MODELS)
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "engine": engine.name,
            "model": model.name,
            "model_sha256": model.digest,
            "width": engine.width,
            "space": "cosine",
            "words": WORDS_VERSION,
            "settings": SETTINGS,
            "chunks": self.summary.chunks,
            "pages": self.summary.pages,
            "exact": self.summary.chunks <= EXACT_ROWS,
            "content": digest.hexdigest(),
            "sources": self.summary.sources,
            "origins": {
                source.name: {"location": source.location, "folders": source.folders, "layout": source.layout, "fingerprint": source.fingerprint} for source in self.known.values()
            },
            "built": time.strftime("%Y-%m-%d %H:%M:%S"),
            "previous": self.old.name if self.old else None,
            "files": sizes(self.new),
        }
        if self.server is not None:
            manifest["chroma"] = {"collection": collection_of(self.new)}
        (self.new / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        found = faults(self.new)
        if found:
            raise PublishError(f"The new index failed its check ({found[0]}) and was not put in place; the old one goes on serving. Run it again: python -m ingest")
        remember(self.folder, manifest["origins"])
        put_pointer(self.folder, self.new.name)
        self.started = False  # the folder stays
        clear(self.folder, self.new.name)
