"""Texts in, vectors out, each text embedded once: a content-addressed cache that survives rebuilds and kills."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Half = NDArray[np.float16]


def key(engine: str, text: str) -> bytes:
    """The name of a text's vector."""
    return hashlib.blake2b(f"{engine}\n{text}".encode(), digest_size=16).digest()


class VectorCache:
    """Vectors as float16: the rounding moves a cosine by 0.0001 at most, and is the same for old and new ones."""

    def __init__(self, folder: Path) -> None:
        """Open the cache of a folder; a damaged one is started afresh, and without a writable folder it lives in memory."""
        self.path = folder / "vectors.db"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = self._open(str(self.path))
            self._database.execute("SELECT count(*) FROM vectors").fetchone()  # reads every page of the key tree
        except (OSError, sqlite3.OperationalError):  # no rights, no space, or locked by another ingest
            self._database = self._open(":memory:")
        except sqlite3.DatabaseError:
            for ending in ("", "-wal", "-shm"):
                Path(f"{self.path}{ending}").unlink(missing_ok=True)
            self._database = self._open(str(self.path))

    @staticmethod
    def _open(path: str) -> sqlite3.Connection:
        database = sqlite3.connect(path, timeout=60)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID")
        return database

    def missing(self, keys: Iterable[bytes]) -> list[bytes]:
        """The keys that have no vector yet."""
        return [name for name in keys if self._database.execute("SELECT 1 FROM vectors WHERE key = ?", (name,)).fetchone() is None]

    def put(self, keys: list[bytes], vectors: NDArray[np.float32]) -> None:
        """Store vectors, for good."""
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", zip(keys, (row.astype(np.float16).tobytes() for row in vectors), strict=True))

    def get(self, keys: list[bytes], width: int) -> Half:
        """
        The vectors of *keys*, a row each.

        Raises:
            KeyError: One is not stored, or has another width.
        """
        out = np.zeros((len(keys), width), np.float16)
        for row, name in enumerate(keys):
            found = self._database.execute("SELECT vector FROM vectors WHERE key = ?", (name,)).fetchone()
            if found is None or len(found[0]) != 2 * width:
                raise KeyError(name.hex())
            out[row] = np.frombuffer(found[0], np.float16)
        return out

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
