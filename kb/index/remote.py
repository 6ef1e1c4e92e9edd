"""
Vectors on a Chroma server: the same questions as `kb.index.vectors`, over HTTP.

Chroma's own client has no time-out and takes 0.7 s to import; a chat that waits for a dead server for a minute is worse than one
that answers from words at once. So the few calls that are needed are made here, by Chroma's HTTP interface (version 2).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from kb.index.vectors import SPARE, Vectors, VectorsError
from kb.index.words import best

QUERY_SECONDS = 2.0  # how long a question waits for the server
INGEST_SECONDS = 60.0  # how long an ingest waits for one batch
RETRY_SECONDS = 5.0  # after a failure, questions leave the server alone for so long
BATCH = 500  # vectors in one request: about 4 MB
NOTE = "remote.json"  # in a generation's folder: the collection that holds its vectors; written before the collection is made


class ServerError(VectorsError):
    """The Chroma server cannot be reached, or refuses; the message gives its address, never a header."""


def headers_of(text: str) -> dict[str, str]:
    """
    Headers for a proxy that checks a token.

    Args:
        text: A JSON object, or `Name: value; Other: value`.

    Raises:
        ServerError: It is neither; the text is not repeated, for it holds a secret.
    """
    text = text.strip()
    try:
        if text.startswith("{"):
            found = json.loads(text)
            if all(isinstance(value, str) for value in found.values()):
                return dict(found)
        else:
            pairs = [part.partition(":") for part in text.split(";") if part.strip()]
            if all(colon and name.strip() for name, colon, _ in pairs):
                return {name.strip(): value.strip() for name, _, value in pairs}
    except ValueError:
        pass
    raise ServerError("KB_CHROMA_HEADERS is neither a JSON object of texts nor 'Name: value; Other: value'")


class Server:
    """One Chroma server, tenant and database. Safe for many threads."""

    _down: dict[str, tuple[float, str]] = {}  # by address: until when, and why

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, seconds: float = QUERY_SECONDS, tenant: str = "default_tenant", database: str = "default_database"
    ) -> None:
        """
        Name a server; nothing is sent yet.

        Args:
            url: `http://host:port`, or `https://...`.
            headers: Sent with every request.
            seconds: Time-out of each request.
            tenant: Chroma's tenant.
            database: Chroma's database.

        Raises:
            ServerError: The address is not one.
        """
        import httpx

        parts = urlsplit(url)
        try:
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            port = ":?"
        if parts.scheme not in ("http", "https") or not parts.hostname or port == ":?":
            raise ServerError("KB_CHROMA_URL is not an address; it looks like http://host:8000")
        self.address = f"{parts.scheme}://{parts.hostname}{port}"
        self._base = f"{url.rstrip('/')}/api/v2"
        self._home = f"{self._base}/tenants/{quote(tenant, safe='')}/databases/{quote(database, safe='')}/collections"
        self._patient = seconds > QUERY_SECONDS
        try:
            self._client = httpx.Client(timeout=httpx.Timeout(seconds, connect=min(seconds, 5.0)), headers=dict(headers or {}), follow_redirects=False)
        except (ValueError, TypeError) as error:
            raise ServerError("KB_CHROMA_HEADERS holds a header that HTTP does not allow") from error

    @classmethod
    def from_environment(cls, seconds: float = QUERY_SECONDS) -> Server | None:
        """
        The server of `KB_CHROMA_URL`, `KB_CHROMA_HEADERS`, `KB_CHROMA_TENANT` and `KB_CHROMA_DATABASE`; None when there is no address.

        Raises:
            ServerError: A variable is malformed.
        """
        url = os.environ.get("KB_CHROMA_URL", "").strip()
        if not url:
            return None
        tenant, database = os.environ.get("KB_CHROMA_TENANT") or "default_tenant", os.environ.get("KB_CHROMA_DATABASE") or "default_database"
        return cls(url, headers_of(os.environ.get("KB_CHROMA_HEADERS", "")), seconds, tenant, database)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        import httpx

        until, why = self._down.get(self._home, (0.0, ""))
        if not self._patient and time.monotonic() < until:
            raise ServerError(why)
        try:
            answer = self._client.request(method, path, json=body) if body is not None else self._client.request(method, path)
            found = answer.json() if answer.content and answer.status_code < 400 else None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            why = f"the Chroma server at {self.address} does not answer ({type(error).__name__})"
            self._down[self._home] = (time.monotonic() + RETRY_SECONDS, why)
            raise ServerError(why) from error
        self._down.pop(self._home, None)
        if answer.status_code in (401, 403):
            raise ServerError(f"the Chroma server at {self.address} refuses us ({answer.status_code}); check KB_CHROMA_HEADERS")
        if answer.status_code >= 300:
            raise ServerError(f"the Chroma server at {self.address} answered {answer.status_code} to {method} {path.removeprefix(self._base)[:80]}")
        return found

    def ping(self) -> None:
        """
        Look whether the server answers and lets us in.

        Raises:
            ServerError: It does not.
        """
        self._call("GET", f"{self._base}/heartbeat")
        self._call("GET", f"{self._home}?limit=1")

    def create(self, name: str) -> str:
        """Make a collection; its id."""
        made = self._call("POST", self._home, {"name": name, "configuration": {"hnsw": {"space": "cosine", "ef_search": 200, "max_neighbors": 24}}, "get_or_create": False})
        return str(made["id"])

    def find(self, name: str) -> str:
        """The id of a collection."""
        return str(self._call("GET", f"{self._home}/{quote(name, safe='')}")["id"])

    def drop(self, name: str) -> None:
        """Delete a collection; one that is not there is no fault."""
        try:
            self._call("DELETE", f"{self._home}/{quote(name, safe='')}")
        except ServerError as error:
            if " 404 " not in str(error):
                raise

    def names(self) -> list[str]:
        """Every collection of the database."""
        return [str(found["name"]) for found in self._call("GET", f"{self._home}?limit=1000")]

    def count(self, collection: str) -> int:
        """How many vectors a collection holds."""
        return int(self._call("GET", f"{self._home}/{collection}/count"))

    def add(self, collection: str, ids: Sequence[str], vectors: Vectors) -> None:
        """Store vectors."""
        self._call("POST", f"{self._home}/{collection}/add", {"ids": list(ids), "embeddings": vectors.tolist()})

    def near(self, collection: str, vector: Vectors, k: int) -> list[str]:
        """The ids of the nearest vectors, by Chroma's approximate graph."""
        found = self._call("POST", f"{self._home}/{collection}/query", {"query_embeddings": [vector.tolist()], "n_results": k, "include": []})
        return [str(id) for id in found["ids"][0]]

    def get(self, collection: str, ids: Sequence[str]) -> dict[str, list[float]]:
        """Vectors by id."""
        found = self._call("POST", f"{self._home}/{collection}/get", {"ids": list(ids), "include": ["embeddings"]})
        return dict(zip(found["ids"], found["embeddings"], strict=True))


class RemoteVectors:
    """One generation's vectors, on a server: what `VectorStore` offers, with the same ranking."""

    def __init__(self, server: Server, collection: str, ids: Sequence[str], width: int) -> None:
        """
        Name the vectors of a generation; nothing is sent yet.

        Args:
            server: Where they are.
            collection: The collection's name.
            ids: Every chunk's id by row.
            width: How wide they are.
        """
        self.rows, self.width = len(ids), width
        self._server, self._name, self._ids = server, collection, list(ids)
        self._row_of = {id: row for row, id in enumerate(ids)}
        self._id = ""
        self._lock = threading.Lock()
        self._held: dict[int, Vectors] = {}  # of the last search, which the ranking asks for next

    def _collection(self) -> str:
        if not self._id:
            self._id = self._server.find(self._name)
        return self._id

    def count(self) -> int:
        """How many vectors the server holds."""
        return self._server.count(self._collection())

    def nearest(self, vector: Vectors, k: int) -> list[tuple[int, float]]:
        """Rows with the highest cosine to *vector* (length 1), rounded, ties by row."""
        found = self._server.near(self._collection(), vector, min(self.rows, k + k // SPARE + 10))
        rows = np.array(sorted(self._row_of[id] for id in found if id in self._row_of), np.int64)
        return [(int(rows[place]), score) for place, score in best(self.of(rows) @ vector, k)] if len(rows) else []

    def row(self, row: int) -> Vectors:
        """The vector of one row."""
        vector: Vectors = self.of(np.array([row]))[0]
        return vector

    def of(self, rows: NDArray[np.int64]) -> Vectors:
        """
        The vectors of some rows.

        Raises:
            ServerError: The server does not answer, or has lost one.
        """
        with self._lock:
            held = dict(self._held)
        wanted = [int(row) for row in rows if int(row) not in held]
        found = self._server.get(self._collection(), [self._ids[row] for row in wanted]) if wanted else {}
        try:
            held |= {row: np.asarray(found[self._ids[row]], np.float32) for row in wanted}
            out = np.stack([held[int(row)] for row in rows]) if len(rows) else np.zeros((0, self.width), np.float32)
        except KeyError as error:
            raise ServerError(f"the Chroma server at {self._server.address} has lost the vector of {error.args[0]}; rebuild the index: python -m ingest") from error
        with self._lock:
            self._held = {int(row): held[int(row)] for row in rows}
        return out


def write_remote(server: Server, folder: Path, name: str, ids: Sequence[str], vectors: NDArray[np.float16]) -> Iterator[int]:
    """
    Write a generation's vectors to a new collection of a server.

    Args:
        server: Where.
        folder: The generation's folder, which notes the collection before it is made, so that it can always be found and dropped.
        name: The collection's name, never used before.
        ids: Chunk ids by row.
        vectors: A row for each id, length 1.

    Yields:
        The number of rows done, after each batch.

    Raises:
        ServerError: The server does not take them.
    """
    (folder / NOTE).write_text(json.dumps({"collection": name}), encoding="utf-8")
    collection = server.create(name)
    for start in range(0, len(ids), BATCH):
        some = slice(start, min(start + BATCH, len(ids)))
        server.add(collection, ids[some], vectors[some].astype(np.float32))
        yield some.stop - some.start


def collection_of(folder: Path) -> str:
    """The collection that a generation's folder notes, empty when it has none."""
    try:
        return str(json.loads((folder / NOTE).read_text(encoding="utf-8"))["collection"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
