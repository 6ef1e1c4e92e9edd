"""The parts of a generation that need only its database, and the switch to it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np

from ingest.progress import Progress
from kb.index import GENERATIONS, POINTER
from kb.index.check import manifest_of
from kb.index.remote import NOTE, Server, ServerError, collection_of
from kb.index.store import FILE
from kb.index.words import WordIndex, tokens

SOURCES = "sources.json"  # in the index folder: where each source is


def index_words(database: sqlite3.Connection, folder: Path, progress: Progress) -> None:
    """
    Write the word indexes of a generation: over chunks, over whole pages, and over titles.

    Args:
        database: Its chunks, with their rows.
        folder: The generation's folder.
        progress: Told of every chunk.
    """
    chunks: list[list[str]] = []
    pages: dict[str, list[str]] = {page: [] for (page,) in database.execute("SELECT DISTINCT page FROM chunks ORDER BY page")}
    number = {page: row for row, page in enumerate(pages)}
    page_row: list[int] = []
    bare: list[bool] = []
    for page, title, heading, text, section in database.execute("SELECT page, title, heading, text, section FROM chunks ORDER BY row"):
        head, body = tokens(title), tokens(f"{heading}\n{text}")
        chunks.append(head + body)
        pages[page] += body if pages[page] else head + body
        page_row.append(number[page])
        bare.append(section == "syntax")
        progress.step()
    WordIndex.build(chunks, folder / "words")
    titles = [tokens(f"{title} {names}") for title, names in database.execute("SELECT min(title), min(names) FROM chunks GROUP BY page ORDER BY page")]
    WordIndex.build(list(pages.values()), folder / "page_words")
    WordIndex.build(titles, folder / "title_words")
    np.save(folder / "page_row.npy", np.array(page_row, np.int32))
    np.save(folder / "bare.npy", np.array(bare, bool))


def remember(folder: Path, origins: dict[str, dict[str, Any]]) -> None:
    """Keep a copy of where the sources are, for the case that the manifest is damaged."""
    part = folder / f"{SOURCES}.part"
    part.write_text(json.dumps(origins, indent=1), encoding="utf-8")
    os.replace(part, folder / SOURCES)


def remembered(folder: Path) -> dict[str, dict[str, Any]]:
    """What `remember` kept, empty when there is nothing."""
    try:
        found = json.loads((folder / SOURCES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def put_pointer(folder: Path, name: str) -> None:
    """Make a generation the current one, in one step."""
    part = folder / f"{POINTER}.part"
    part.write_text(name, encoding="utf-8")
    for attempt in range(20):
        try:
            os.replace(part, folder / POINTER)
            return
        except PermissionError:  # Windows: a reader has the pointer open for a moment
            if attempt == 19:
                raise
            time.sleep(0.1)


def clear(folder: Path, current: str | None) -> None:
    """Remove generations that are neither current nor the one before; a file still open elsewhere waits for the next time."""
    keep = {current, manifest_of(folder / GENERATIONS / current).get("previous") if current else None}
    for path in (folder / GENERATIONS).glob("*"):
        if path.name not in keep:
            discard(path)


def discard(path: Path) -> None:
    """Remove a generation, with its collection on the Chroma server; while that does not answer, a note is kept for the next time."""
    name = collection_of(path)
    if name:
        try:
            server = Server.from_environment()
            if server is not None:
                server.drop(name)
        except ServerError:
            for inner in path.iterdir():
                if inner.is_dir():
                    shutil.rmtree(inner, ignore_errors=True)
                elif inner.name != NOTE:
                    inner.unlink(missing_ok=True)
            return
    shutil.rmtree(path, ignore_errors=True)


def readable(generation: Path) -> bool:
    """Whether a generation's chunks can be taken over."""
    try:
        database = sqlite3.connect(f"{(generation / FILE).resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",) and database.execute("SELECT count(*) FROM chunks").fetchone()[0])
        finally:
            database.close()
    except sqlite3.Error:
        return False
