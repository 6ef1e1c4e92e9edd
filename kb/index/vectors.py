"""
Vectors in, the nearest rows out.

Chroma holds the vectors: ingest writes them there, carries the database from generation to generation, and the doctor asks it.
Answers must be the same for every build over the same knowledge, and two builds of Chroma's approximate graph can differ; so up
to `EXACT_ROWS` a question is answered by scanning all vectors as int8 (one integer product in ONNX Runtime, 0.5 ms for 30,000
rows) and ranking what is left by the full vectors. That needs no import of chromadb either (0.7 s). Beyond, Chroma gives the
candidates and the ranking is the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kb.index.words import best

COLLECTION = "passages"
EXACT_ROWS = 250_000  # both official repositories give some 190,000; beyond, Chroma's approximate search is faster
SPARE = 3  # times as many candidates as asked for, then ranked by the full vectors: the scan's error is below 0.01
STEPS = 63  # int8 levels of the scan: products of two neighbors still fit 16 bits on processors without VNNI
BATCH = 2_000  # rows handed to Chroma at once
MATRIX = "vectors.npy"
SCAN = "scan.onnx"

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
        self._scan: Any = _open_scan(folder / SCAN) if self.rows <= EXACT_ROWS else None
        self._row_of = {id: row for row, id in enumerate(ids or ())}
        self._collection: Any = None

    def nearest(self, vector: Vectors, k: int) -> list[tuple[int, float]]:
        """Rows with the highest cosine to *vector* (length 1), rounded, ties by row."""
        wanted = SPARE * k + 50
        if self._scan is not None:
            query = np.clip(np.rint(vector / max(1e-9, float(np.abs(vector).max())) * 127) + 128, 0, 255).astype(np.uint8)
            rough = self._scan.run(None, {"query": query[None]})[0][0]
            rows = np.sort(np.argpartition(rough, len(rough) - wanted)[len(rough) - wanted :]) if wanted < len(rough) else np.arange(len(rough))
        else:
            found = self.collection().query(query_embeddings=[vector.tolist()], n_results=wanted, include=[])
            rows = np.array(sorted(self._row_of[id] for id in found["ids"][0]))
        return [(int(rows[place]), score) for place, score in best(self.of(rows) @ vector, k)]

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
    if len(ids) <= EXACT_ROWS:
        _write_scan(folder / SCAN, vectors.astype(np.float32))
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


def _write_scan(path: Path, vectors: Vectors) -> None:
    """Write the product of a query with every vector, as int8, as an ONNX graph."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    scale = (np.maximum(np.abs(vectors).max(axis=1), 1e-9) / STEPS).astype(np.float32)
    small = np.ascontiguousarray(np.rint(vectors / scale[:, None]).astype(np.int8).T)
    nodes = [
        helper.make_node("MatMulInteger", ["query", "vectors", "middle"], ["product"]),
        helper.make_node("Cast", ["product"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["score"]),
    ]
    constants = [numpy_helper.from_array(small, "vectors"), numpy_helper.from_array(np.array(128, np.uint8), "middle"), numpy_helper.from_array(scale, "scale")]
    width, rows = small.shape
    graph = helper.make_graph(
        nodes, "scan", [helper.make_tensor_value_info("query", TensorProto.UINT8, [1, width])], [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, rows])], constants
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), str(path))


def _open_scan(path: Path) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise VectorsError(f"{SCAN} cannot be read ({type(error).__name__})") from error
