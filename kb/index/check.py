"""A generation in, what is wrong with it out: found by querying it, since counts hide a truncated vector index."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np

from kb.index import LOCK, OWNER, Generation, IndexMissingError
from kb.index.remote import RemoteVectors
from kb.index.vectors import COLLECTION, VectorsError, open_chroma

SAMPLE = 40  # chunks asked for, evenly spread over the rows, the last one among them


def faults(folder: Path, chroma: bool = True) -> list[str]:
    """
    Query a generation for a sample of its own chunks.

    Args:
        folder: The generation's folder.
        chroma: Ask Chroma's database too (0.7 s of import).

    Returns:
        One line a fault, none when it is whole.
    """
    small = shrunk(folder)
    if small:
        return [f"{small} is missing or truncated"]
    try:
        generation = Generation(folder)
        vectors = generation.vectors
    except (IndexMissingError, VectorsError) as error:
        return [str(error)]
    manifest, rows = generation.manifest, generation.store.rows
    out: list[str] = []
    if rows == 0:
        return ["it holds no chunk"]
    if vectors.width != manifest["width"]:
        out.append(f"its vectors are {vectors.width} wide, the manifest says {manifest['width']}")
    sample = sorted({int(row) for row in np.linspace(0, rows - 1, SAMPLE)})
    try:
        chunks = generation.store.by_row(sample)
        unheard = [chunks[row].id for row in sample if not _by_words(generation, row, chunks[row].full)]
        unseen = [chunks[row].id for row in sample if vectors.nearest(vectors.row(row), 1)[0][1] < 0.99]
        if isinstance(vectors, RemoteVectors) and vectors.count() != rows:
            out.append(f"Chroma counts {vectors.count()} vectors for {rows} chunks")
    except VectorsError as error:
        return [*out, str(error)]
    except (KeyError, IndexError, sqlite3.Error, ValueError) as error:
        return [*out, f"its chunks cannot be read ({type(error).__name__}: {error})"]
    if unheard:
        out.append(f"{len(unheard)} of {len(sample)} chunks are not found by their own words ({unheard[0]}, ...)")
    if unseen:
        out.append(f"{len(unseen)} of {len(sample)} chunks are not found by their own vectors ({unseen[0]}, ...)")
    return out + (_chroma_faults(folder, generation, sample) if chroma and not isinstance(vectors, RemoteVectors) else [])


def _by_words(generation: Generation, row: int, text: str) -> bool:
    scores = generation.words.scores(text)
    return not scores.any() or bool(scores[row] >= np.partition(scores, len(scores) - min(20, len(scores)))[-min(20, len(scores))] - 1e-3)


def _chroma_faults(folder: Path, generation: Generation, sample: list[int]) -> list[str]:
    """The same for Chroma: space, count, and the nearest of some stored vectors."""
    out: list[str] = []
    vectors = generation.vectors
    try:
        collection = open_chroma(folder).get_collection(COLLECTION, embedding_function=None)
        space = (collection.configuration_json or {}).get("hnsw", {}).get("space")
        if space != "cosine":
            out.append(f"Chroma's distance is {space}, must be cosine")
        if collection.count() != generation.store.rows:
            out.append(f"Chroma counts {collection.count()} vectors for {generation.store.rows} chunks")
        found = collection.query(query_embeddings=np.stack([vectors.row(row) for row in sample]).tolist(), n_results=min(3, generation.store.rows), include=["distances"])
        lost = [row for row, distances in zip(sample, found["distances"], strict=True) if not distances or abs(distances[0]) > 0.01]
        if lost:
            out.append(f"{len(lost)} of {len(sample)} chunks are not found in Chroma by their own vectors")
    except VectorsError as error:
        out.append(str(error))
    except Exception as error:  # chromadb raises bare and Rust exceptions for a broken database
        out.append(f"Chroma cannot be queried ({(str(error).splitlines() or [type(error).__name__])[0]})")
    return out


def sizes(folder: Path) -> dict[str, int]:
    """The size of every file of a finished generation, for its manifest."""
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"}


def shrunk(folder: Path) -> str:
    """The first file that is missing or shorter than its manifest says; empty when none is."""
    recorded = manifest_of(folder).get("files", {})
    for name, size in recorded.items() if isinstance(recorded, dict) else ():
        path = folder / name
        if not path.is_file() or path.stat().st_size < size:
            return str(name)
    return ""


def manifest_of(folder: Path) -> dict[str, object]:
    """The manifest of a generation, empty when it cannot be read."""
    try:
        found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def owner(folder: Path) -> str:
    """Who wrote the writer's note of an index folder, empty when there is none."""
    try:
        note = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        return f"process {note['pid']} on {note['host']}, since {note['since']}"
    except (OSError, ValueError, KeyError):
        return ""


def left_behind(folder: Path) -> str:
    """The writer's note when nobody holds the lock any more: its ingest was killed. Else empty."""
    if not (folder / OWNER).exists():
        return ""
    import filelock

    try:
        with filelock.FileLock(folder / LOCK, timeout=0):
            return owner(folder) or "an unreadable note"
    except (filelock.Timeout, OSError):
        return ""
