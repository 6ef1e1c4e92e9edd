"""Vectors in, the nearest rows out: Chroma holds them; an exact scan ranks them as long as that is the faster way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kb.index.words import best

COLLECTION = "passages"
EXACT_ROWS = 60_000  # up to here a scan is as fast as Chroma's approximate search, exact, and needs no import of 0.7 s
CANDIDATES = 200  # above: asked of Chroma, then ranked exactly, so that two builds of its graph agree
BATCH = 2_000  # rows handed to Chroma at once
MATRIX = "vectors.npy"

Vectors = NDArray[np.float32]


class VectorsError(RuntimeError):
    """The vectors cannot be read or written."""


class VectorStore:
    """One generation's vectors. Exactly one process writes it, before it becomes current; then nobody does."""

    def __init__(self, folder: Path, ids: Sequence[str] | None = None) -> None:
        """
        Open the vectors of a generation.

        Args:
            folder: The generation's folder.
            ids: Every chunk's id by row, needed only above `EXACT_ROWS`.
        """
        self.folder = folder
        try:
            self._half: NDArray[np.float16] = np.load(folder / MATRIX, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise VectorsError(f"{MATRIX} cannot be read ({error})") from error
        self.rows, self.width = self._half.shape
        self._full: Vectors | None = self._half.astype(np.float32) if self.rows <= EXACT_ROWS else None
        self._row_of = {id: row for row, id in enumerate(ids or ())}
        self._collection: Any = None

    def nearest(self, vector: Vectors, k: int) -> list[tuple[int, float]]:
        """Rows with the highest cosine to *vector* (length 1), rounded, ties by row."""
        if self._full is not None:
            return best(self._full @ vector, k)
        found = self.collection().query(query_embeddings=[vector.tolist()], n_results=max(CANDIDATES, 4 * k), include=[])
        rows = np.array(sorted(self._row_of[id] for id in found["ids"][0]))
        scored = best(self._half[rows].astype(np.float32) @ vector, k)
        return [(int(rows[row]), score) for row, score in scored]

    def row(self, row: int) -> Vectors:
        """The vector of one row."""
        return np.asarray(self._half[row], np.float32)

    def of(self, rows: NDArray[np.int64]) -> Vectors:
        """The vectors of some rows."""
        return np.asarray(self._half[rows], np.float32)

    def collection(self) -> Any:
        """Chroma's collection, for reading."""
        if self._collection is None:
            self._collection = open_chroma(self.folder).get_collection(COLLECTION, embedding_function=None)
        return self._collection


def open_chroma(folder: Path) -> Any:
    """
    A Chroma client on a generation's folder.

    Raises:
        VectorsError: The folder has no Chroma database that can be opened.
    """
    import chromadb
    from chromadb.config import Settings

    os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
    try:
        return chromadb.PersistentClient(path=str(folder / "chroma"), settings=Settings(anonymized_telemetry=False))
    except Exception as error:  # chromadb raises bare and Rust exceptions for a broken database
        raise VectorsError(f"Chroma cannot open {folder.name}/chroma ({str(error).splitlines()[0] if str(error) else type(error).__name__})") from error


def close_chroma(client: Any) -> None:
    """Let go of a client's files; without this a later client of the same process sees the old state."""
    client.close()


def write_vectors(folder: Path, ids: Sequence[str], vectors: NDArray[np.float16], old_ids: frozenset[str] | None = None, changed: frozenset[str] = frozenset()) -> Iterator[int]:
    """
    Write a generation's vectors to its matrix and to Chroma.

    Args:
        folder: The generation's folder, not yet current. It may hold a copy of the previous generation's Chroma database.
        ids: Chunk ids by row.
        vectors: A row for each id, length 1.
        old_ids: The ids in that copy, None when there is none.
        changed: Those of them whose vector is another one now.

    Yields:
        The number of rows done, after each batch.
    """
    np.save(folder / MATRIX, vectors)
    client = open_chroma(folder)
    try:
        collection = client.get_or_create_collection(COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "cosine", "ef_search": 200, "max_neighbors": 24}})
        present = old_ids or frozenset()
        gone = sorted((present - set(ids)) | changed)
        for start in range(0, len(gone), BATCH):
            collection.delete(ids=gone[start : start + BATCH])
        rows = [row for row, id in enumerate(ids) if id not in present or id in changed]
        yield len(ids) - len(rows)
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            collection.add(ids=[ids[row] for row in some], embeddings=vectors[some].astype(np.float32))
            yield len(some)
    finally:
        close_chroma(client)
