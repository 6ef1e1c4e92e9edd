"""Chunks in, rows of one SQLite file out, and back: the texts of a generation."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE = "chunks.db"
_COLUMNS = "id, text, title, page, section, heading, url, kind, source, names"
SCHEMA = """
CREATE TABLE files (source TEXT, path TEXT, digest TEXT NOT NULL, pages INTEGER NOT NULL, problem TEXT NOT NULL, PRIMARY KEY (source, path)) WITHOUT ROWID;
CREATE TABLE chunks (
  row INTEGER, id TEXT PRIMARY KEY, text TEXT NOT NULL, title TEXT NOT NULL, page TEXT NOT NULL, section TEXT NOT NULL, heading TEXT NOT NULL,
  url TEXT NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL, names TEXT NOT NULL, place INTEGER NOT NULL, parents TEXT NOT NULL, path TEXT NOT NULL, vector BLOB NOT NULL);
CREATE INDEX chunks_page ON chunks (page, place);
CREATE INDEX chunks_path ON chunks (source, path);
CREATE INDEX chunks_row ON chunks (row);
CREATE TABLE names (name TEXT NOT NULL, page TEXT NOT NULL, PRIMARY KEY (name, page)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Chunk:
    """A stored piece of a page."""

    id: str
    """Stable over rebuilds: page, section and number."""
    text: str
    """The words, without the prefix that `full` adds."""
    title: str
    """The page's title."""
    page: str
    """Page id."""
    section: str
    """Slug of the heading it stands under; empty for the introduction."""
    heading: str
    """Titles of the headings above it, outermost first, joined by ' > '."""
    url: str
    """Public address with its #anchor, or a path in the repository."""
    kind: str
    """rule, article, page, ddi, team or table."""
    source: str
    """Name of the source it came from."""
    names: tuple[str, ...] = ()
    """Identifiers that the page is about."""
    place: int = 0
    """Number within the page."""
    parents: tuple[str, ...] = ()
    """Slugs of the headings above `section`, outermost first."""

    @property
    def full(self) -> str:
        """What is embedded and searched: 'title > heading', then the text."""
        return f"{self.prefix}\n{self.text}"

    @property
    def prefix(self) -> str:
        """'title > heading'."""
        return " > ".join(part for part in (self.title, self.heading) if part)


def add_chunks(database: sqlite3.Connection, chunks: Iterable[tuple[Chunk, bytes]], path: str) -> None:
    """Insert the chunks of one file, each with the key of its vector."""
    database.executemany(
        "INSERT INTO chunks VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                chunk.id,
                chunk.text,
                chunk.title,
                chunk.page,
                chunk.section,
                chunk.heading,
                chunk.url,
                chunk.kind,
                chunk.source,
                " ".join(chunk.names),
                chunk.place,
                "/".join(chunk.parents),
                path,
                key,
            )
            for chunk, key in chunks
        ),
    )


class ChunkStore:
    """One generation's chunks, for reading, by row, id or page."""

    def __init__(self, folder: Path) -> None:
        """
        Open a finished generation.

        Raises:
            sqlite3.Error: The file is missing or damaged.
        """
        path = (folder / FILE).resolve()
        self._database = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        self._lock = threading.Lock()  # one connection, many threads
        self.rows: int = self._select("SELECT count(*) FROM chunks", ())[0][0]

    def _select(self, sql: str, values: Sequence[object]) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            return self._database.execute(sql, values).fetchall()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    def by_row(self, rows: Sequence[int]) -> dict[int, Chunk]:
        """The chunks of some rows."""
        out: dict[int, Chunk] = {}
        for start in range(0, len(rows), 500):
            some = list(rows[start : start + 500])
            marks = ",".join("?" * len(some))
            for row, *rest in self._select(f"SELECT row, {_COLUMNS}, place, parents FROM chunks WHERE row IN ({marks})", some):  # noqa: S608 - only question marks
                out[row] = _chunk(rest)
        return out

    def of_page(self, page: str) -> list[Chunk]:
        """The chunks of a page in their order."""
        return [_chunk(row) for row in self._select(f"SELECT {_COLUMNS}, place, parents FROM chunks WHERE page = ? ORDER BY place", (page,))]  # noqa: S608

    def rows_of(self, pages: Sequence[str]) -> list[int]:
        """The rows of some pages."""
        return [row for page in pages for (row,) in self._select("SELECT row FROM chunks WHERE page = ?", (page.lower(),))]

    def has_page(self, page: str) -> bool:
        """Whether a page has chunks."""
        return bool(self._select("SELECT 1 FROM chunks WHERE page = ? LIMIT 1", (page,)))

    def ids(self) -> list[str]:
        """Every id, by row."""
        return [id for (id,) in self._select("SELECT id FROM chunks ORDER BY row", ())]

    def page_rows(self) -> list[str]:
        """The page id of every row."""
        return [page for (page,) in self._select("SELECT page FROM chunks ORDER BY row", ())]

    def pages_named(self, name: str) -> list[str]:
        """Pages that are about an identifier, in any letter case."""
        return [page for (page,) in self._select("SELECT page FROM names WHERE name = ? ORDER BY page", (name.lower(),))]


def _chunk(row: Sequence[object]) -> Chunk:
    id, text, title, page, section, heading, url, kind, source, names, place, parents = map(str, row)
    return Chunk(id, text, title, page, section, heading, url, kind, source, tuple(names.split()), int(place), tuple(filter(None, parents.split("/"))))
