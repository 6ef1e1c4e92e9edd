"""Chunks on disk, found by words, by vectors and by page: the only room that knows how the index is stored."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kb.embedding import EmbeddingError, Engine, load_named, said
from kb.index.remote import RemoteVectors, Server
from kb.index.store import Chunk, ChunkStore
from kb.index.vectors import VectorsError, VectorStore
from kb.index.words import WordIndex, best

__all__ = ["Candidates", "Chunk", "Index", "IndexMissingError", "default_folder"]

FORMAT = 4  # of everything below the index folder; another number asks for a rebuild
POINTER = "current"  # a text file with the name of the generation that serves
GENERATIONS = "generations"
MODELS = "models"
LOCK = "ingest.lock"  # held by the one process that writes
OWNER = "ingest.owner"  # its note; left over when it was killed
BUILD = "Build it: python -m ingest"


class IndexMissingError(RuntimeError):
    """There is no index that can be read; the message gives the command that builds it."""


def default_folder() -> Path:
    """The index folder: `KB_INDEX`, else index/ in the repository."""
    return Path(os.environ.get("KB_INDEX") or Path(__file__).resolve().parents[2] / "index")


def read_pointer(folder: Path) -> str | None:
    """Name of the generation that serves, None when there is none."""
    try:
        return (folder / POINTER).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


class Generation:
    """One finished, unchanging build of the index."""

    def __init__(self, folder: Path) -> None:
        """
        Open a generation.

        Raises:
            IndexMissingError: It is damaged or of another format.
        """
        self.folder = folder
        try:
            self.manifest: Mapping[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            if self.manifest.get("format") != FORMAT:
                raise IndexMissingError(f"The passage index at {folder} has format {self.manifest.get('format')}, this program reads {FORMAT}. Rebuild it: python -m ingest")
            self.store = ChunkStore(folder)
            self.words = WordIndex(folder / "words")
            self.page_words = WordIndex(folder / "page_words")
            self.title_words = WordIndex(folder / "title_words")
            self.page_row: NDArray[np.int32] = np.load(folder / "page_row.npy")
            self.bare: NDArray[np.bool_] = np.load(folder / "bare.npy")
        except (OSError, ValueError, KeyError, EOFError, sqlite3.Error) as error:
            raise IndexMissingError(f"The passage index at {folder} is damaged ({str(error).splitlines()[0]}). Rebuild it: python -m ingest") from error
        if not self.store.rows == self.words.rows == len(self.page_row) == self.manifest["chunks"]:
            raise IndexMissingError(
                f"The passage index at {folder} is damaged (chunks {self.store.rows}, words {self.words.rows}, manifest {self.manifest['chunks']}). Rebuild it: python -m ingest"
            )
        self._vectors: VectorStore | RemoteVectors | None = None

    @property
    def vectors(self) -> VectorStore | RemoteVectors:
        """The vectors, opened at first use: here, or on the Chroma server that the manifest speaks of."""
        if self._vectors is None and self.manifest.get("chroma"):
            server = Server.from_environment()
            if server is None:
                raise VectorsError("the vectors of this index are on a Chroma server; name it in KB_CHROMA_URL")
            self._vectors = RemoteVectors(server, str(self.manifest["chroma"]["collection"]), self.store.ids(), int(self.manifest["width"]))
        if self._vectors is None:
            large = self.store.rows > 0 and self.manifest.get("exact") is False
            vectors = VectorStore(self.folder, self.store.ids() if large else None)
            if vectors.rows != self.store.rows:
                raise VectorsError(f"{vectors.rows} vectors for {self.store.rows} chunks")
            self._vectors = vectors
        return self._vectors


@dataclass(frozen=True)
class Candidates:
    """Chunks that may answer a question, with every score of each; arrays of one length, in the order of ids."""

    rows: NDArray[np.int64]
    words: NDArray[np.float32]
    """BM25 of the chunk."""
    page_words: NDArray[np.float32]
    """BM25 of its whole page."""
    title_words: NDArray[np.float32]
    """BM25 of its page's title and names."""
    cosines: NDArray[np.float32]
    named: NDArray[np.bool_]
    wanted: NDArray[np.bool_]
    bare: NDArray[np.bool_]
    """Declarations: found by their names, but they answer no question."""
    store: ChunkStore

    def chunks(self, places: Sequence[int]) -> list[Chunk]:
        """The chunks at some places of the arrays."""
        rows = [int(self.rows[place]) for place in places]
        found = self.store.by_row(rows)
        return [found[row] for row in rows]


class Index:
    """
    The passages, for reading. Never writes, and follows a rebuild by itself.

    Every question looks at the pointer file (one `stat`). When it names another generation, that one is opened and serves
    from then on; when it cannot be opened, the one at hand goes on serving.
    """

    def __init__(self, folder: Path) -> None:
        """See `open`."""
        self.folder = folder
        self.notice = ""
        self._lock = threading.RLock()
        self._engine: Engine | None = None
        self._engine_error = ""
        self._stamp: tuple[int, int, int] | None = None
        self._generation: Generation | None = None
        self._current()

    @classmethod
    def open(cls, folder: Path | None = None) -> Index:
        """
        Open the index of a folder.

        Args:
            folder: `default_folder()` when None.

        Raises:
            IndexMissingError: There is none, or it is damaged.
        """
        return cls(Path(folder) if folder else default_folder())

    def _current(self) -> Generation:
        """The generation to answer from."""
        try:
            status = os.stat(self.folder / POINTER)
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            stamp = None
        if self._generation is not None and stamp in (self._stamp, None):
            return self._generation
        with self._lock:
            name = read_pointer(self.folder)
            if name is None:
                raise IndexMissingError(f"There is no passage index at {self.folder}. {BUILD}")
            if self._generation is None or self._generation.folder.name != name:
                try:
                    fresh = Generation(self.folder / GENERATIONS / name)
                except IndexMissingError as error:
                    if self._generation is None:
                        raise
                    self.notice = str(error)
                    self._stamp = stamp
                    return self._generation
                if self._generation is not None and self._generation.manifest["engine"] != fresh.manifest["engine"]:
                    self._engine, self._engine_error = None, ""
                self._generation = fresh
                self.notice = ""
            self._stamp = stamp
            return self._generation

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What the current generation says of itself: engine, model, sources, counts, settings."""
        return self._current().manifest

    @property
    def ready_vectors(self) -> bool:
        """Whether a query can be embedded now, without waiting for the model to load."""
        return self._engine is not None

    def warm(self) -> None:
        """Load the embedding model and the vectors in the background."""
        threading.Thread(target=self._load, name="warm-index", daemon=True).start()

    def _load(self) -> bool:
        try:
            self._engine_now()
            self._current().vectors  # noqa: B018 - opens them
        except (EmbeddingError, VectorsError, ImportError):
            return False
        return True

    def _engine_now(self) -> Engine:
        with self._lock:
            if self._engine is None:
                if self._engine_error:
                    raise EmbeddingError(self._engine_error)
                try:
                    self._engine = load_named(str(self.manifest["engine"]), self.folder / MODELS)
                except (EmbeddingError, ImportError, OSError, RuntimeError) as error:
                    self._engine_error = str(error)
                    raise EmbeddingError(self._engine_error) from error
            return self._engine

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """
        Embed a question with the engine that built the index.

        Raises:
            EmbeddingError: The model in use is not the one the index was built with, or cannot be loaded.
        """
        vector: NDArray[np.float32] = self._engine_now().embed([said(text) or text])[0]
        return vector

    def search_words(self, text: str, k: int = 10) -> list[tuple[Chunk, float]]:
        """Chunks by falling BM25 score, identifiers whole and in parts; ties by id."""
        now = self._current()
        return _chunks(now, best(now.words.scores(text), k))

    def nearest(self, vector: NDArray[np.float32], k: int = 10) -> list[tuple[Chunk, float]]:
        """
        Find the chunks whose embeddings are nearest to *vector*.

        Args:
            vector: From `embed_query`: length 1, as wide as the index.
            k: How many; fewer when the index holds fewer.

        Returns:
            Chunks by falling cosine, ties by id.

        Raises:
            VectorsError: The vectors cannot be read; `search_words` still works.
        """
        now = self._current()
        return _chunks(now, now.vectors.nearest(vector, k))

    def candidates(self, text: str, vector: NDArray[np.float32] | None, depth: int, named: Sequence[str] = (), wanted: Sequence[str] = ()) -> Candidates:
        """
        What a fusion needs: the union of the best by words, by vectors and by whole page, each with all its scores.

        Args:
            text: The question.
            vector: Its embedding, None for words alone.
            depth: How many of each ranking.
            named: Pages about a name in the question; their chunks are taken in whatever they score.
            wanted: Pages that are wanted for another reason; likewise.

        Returns:
            The candidates by row, bound to the generation they came from.

        Raises:
            VectorsError: The vectors cannot be read.
        """
        now = self._current()
        by_words, by_page = now.words.scores(text), now.page_words.scores(text)
        named_rows, wanted_rows = set(now.store.rows_of(named)), set(now.store.rows_of(wanted))
        rows = {row for row, _ in best(by_words, depth)} | named_rows | wanted_rows
        for page, _ in best(by_page, max(1, depth // 5)):
            inside = np.flatnonzero(now.page_row == page)
            rows |= set(inside[np.argsort(-by_words[inside], kind="stable")][:2].tolist())
        if vector is not None:
            rows |= {row for row, _ in now.vectors.nearest(vector, depth)}
        order = np.array(sorted(rows), np.int64)
        return Candidates(
            rows=order,
            words=np.round(by_words[order], 4),
            page_words=np.round(by_page[now.page_row[order]], 4),
            title_words=np.round(now.title_words.scores(text)[now.page_row[order]], 4),
            cosines=np.zeros(len(order), np.float32) if vector is None or not len(order) else np.round(now.vectors.of(order) @ vector, 4),
            named=np.array([row in named_rows for row in order.tolist()], bool),
            wanted=np.array([row in wanted_rows for row in order.tolist()], bool),
            bare=now.bare[order],
            store=now.store,
        )

    def section(self, page: str, section: str | None) -> list[Chunk]:
        """All chunks of one section and of the ones below it, in order; the introduction for '' or the title's own slug."""
        chunks = self.page(page)
        if not section:
            return [chunk for chunk in chunks if not chunk.section]
        found = [chunk for chunk in chunks if section == chunk.section or section in chunk.parents]
        return found or [chunk for chunk in chunks if not chunk.section and section == slug(chunk.title)]

    def page(self, page: str) -> list[Chunk]:
        """All chunks of a page, in order."""
        return self._current().store.of_page(page.lower())

    def has_page(self, page: str) -> bool:
        """Whether the index holds a page."""
        return self._current().store.has_page(page.lower())

    def pages_named(self, name: str) -> list[str]:
        """Pages that are about an identifier."""
        return self._current().store.pages_named(name)


def slug(heading: str) -> str:
    """The anchor that the documentation site gives a heading: lower case, punctuation dropped, blanks to hyphens."""
    kept = "".join(letter for letter in heading.strip().lower() if letter.isalnum() or letter in "_- ")
    return kept.replace(" ", "-")


def _chunks(now: Generation, scored: Sequence[tuple[int, float]]) -> list[tuple[Chunk, float]]:
    found = now.store.by_row([row for row, _ in scored])
    return [(found[row], score) for row, score in scored]
