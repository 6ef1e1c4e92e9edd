"""Vectors on a Chroma server: how it is named (fast); a real one behind a proxy that checks a token, dying and coming back (slow)."""

from __future__ import annotations

import http.client
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ingest.__main__ import main
from kb.doctor import _index
from kb.index import GENERATIONS, Index, read_pointer
from kb.index import remote as room
from kb.index.check import manifest_of
from kb.index.remote import RemoteVectors, Server, ServerError, headers_of
from kb.index.vectors import VectorsError
from kb.retriever import Retriever
from tests import indexes

TOKEN = "a-token-of-the-test"  # noqa: S105 - not one of anybody


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ('{"Authorization": "Bearer x:y;z"}', {"Authorization": "Bearer x:y;z"}),
        ("Authorization: Bearer x", {"Authorization": "Bearer x"}),
        (" X-A: 1 ; X-B: 2:3;", {"X-A": "1", "X-B": "2:3"}),
    ],
)
def test_headers(text: str, found: dict[str, str]) -> None:
    assert headers_of(text) == found


@pytest.mark.parametrize("text", ["secret", '{"a": 1}', '{"secret', "[1]", ": secret"])
def test_malformed_headers_are_not_repeated(text: str) -> None:
    with pytest.raises(ServerError) as raised:
        headers_of(text)
    assert "KB_CHROMA_HEADERS" in str(raised.value) and "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["host:8000", "ftp://host", "http://", "http://host:x", "nonsense"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ServerError, match="KB_CHROMA_URL"):
        Server(url)


def test_credentials_in_the_address_are_not_told() -> None:
    assert Server("http://user:secret@host:1/").address == "http://host:1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_silent_server_costs_one_time_out_and_then_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "QUERY_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)  # takes the connection, never answers
        server = Server(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=0.3)
        start = time.monotonic()
        for _ in range(5):
            with pytest.raises(ServerError, match="does not answer"):
                server.find("x")
        assert time.monotonic() - start < 1.5


class _Proxy(http.server.BaseHTTPRequestHandler):
    """Passes on what carries the token."""

    protocol_version = "HTTP/1.1"
    target = 0

    def log_message(self, *arguments: object) -> None:
        pass

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = 401, b"no"
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            try:
                onward = http.client.HTTPConnection("127.0.0.1", type(self).target, timeout=60)
                onward.request(self.command, self.path, body, {"Content-Type": "application/json"})
                reply = onward.getresponse()
                status, answer = reply.status, reply.read()
                onward.close()
            except (OSError, http.client.HTTPException):
                status, answer = 502, b"bad gateway"
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = do_PUT = _pass  # noqa: N815 - the names that http.server asks for


class Chroma:
    """A real `chroma run` with a token-checking proxy before it; may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.process = folder, free_port(), None
        handler = type("Handler", (_Proxy,), {"target": self.port})
        self.proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.proxy.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.proxy.server_address[1]}"
        self.start()

    def start(self) -> None:
        command = Path(sys.executable).with_name("chroma.exe" if os.name == "nt" else "chroma")
        environment = {**os.environ, "ANONYMIZED_TELEMETRY": "False"}
        self.process = subprocess.Popen(
            [str(command), "run", "--path", str(self.folder), "--host", "127.0.0.1", "--port", str(self.port)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        server = Server(self.url, {"Authorization": f"Bearer {TOKEN}"}, seconds=10)
        for _ in range(150):
            try:
                return server.ping()
            except ServerError:
                assert self.process.poll() is None, "chroma run ended"
                time.sleep(0.2)
        raise AssertionError("chroma run does not answer")

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
            self.process.wait()
            self.process = None

    def close(self) -> None:
        self.kill()
        self.proxy.shutdown()
        self.proxy.server_close()


@pytest.fixture(scope="module")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chroma]:
    server = Chroma(tmp_path_factory.mktemp("chroma"))
    yield server
    server.close()


@pytest.fixture
def named(chroma: Chroma, monkeypatch: pytest.MonkeyPatch) -> Chroma:
    indexes.template()  # the one to compare with is at home
    monkeypatch.setenv("KB_CHROMA_URL", chroma.url)
    monkeypatch.setenv("KB_CHROMA_HEADERS", f"Authorization: Bearer {TOKEN}")
    monkeypatch.setattr(room, "RETRY_SECONDS", 0.0)
    if chroma.process is None:
        chroma.start()
    return chroma


def ingest(*arguments: str) -> int:
    return main(["--only-sources", "--quiet", *arguments])


def admin(chroma: Chroma) -> Server:
    return Server(chroma.url, {"Authorization": f"Bearer {TOKEN}"}, seconds=10)


def faults(index: Path) -> dict[str, str]:
    return {found.name: found.message for found in _index(index) if not found.ok}


@pytest.mark.slow
def test_a_generation_lives_on_the_server_and_ranks_as_at_home(named: Chroma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(admin(named).names())
    repository, home, _ = indexes.template()
    index = tmp_path / "index"
    assert ingest("--index", str(index), str(repository)) == 0
    first = read_pointer(index)
    assert first
    generation = index / GENERATIONS / first
    collection = manifest_of(generation)["chroma"]["collection"]  # type: ignore[index]
    assert set(admin(named).names()) - before == {collection}
    assert not (generation / "chroma").exists() and not (generation / "vectors.npy").exists()
    assert faults(index) == {}

    there, here = Index.open(index), Index.open(home)
    assert isinstance(there._current().vectors, RemoteVectors)
    for text in ("zebra counter", "animals with stripes", "widget7 of drivers", "At what IRQL may I call ZebraCount?"):
        vector = here.embed_query(text)
        assert [(chunk.id, score) for chunk, score in there.nearest(vector, 10)] == [(chunk.id, score) for chunk, score in here.nearest(vector, 10)]
        assert Retriever(there).find(text) == Retriever(here).find(text)

    # nothing changed: nothing is sent; a page more: a new collection, and the one before is kept; two more: the first is dropped
    assert ingest("--index", str(index)) == 0 and read_pointer(index) == first
    team = tmp_path / "team"
    team.mkdir()
    seen = [collection]
    for animal in ("giraffe", "okapi"):
        (team / f"{animal}.md").write_text(f"# The {animal}\nAn {animal} is tall.", encoding="utf-8")
        assert ingest("--index", str(index), str(team)) == 0
        assert there.search_words(animal, 1)[0][0].page == f"team/{animal}"
        assert there.nearest(there.embed_query(f"the {animal} is tall"), 1)[0][0].page == f"team/{animal}"
        seen.append(manifest_of(index / GENERATIONS / str(read_pointer(index)))["chroma"]["collection"])  # type: ignore[index]
    assert set(admin(named).names()) - before == set(seen[1:])

    # back home: without the address the next ingest builds the vectors here
    monkeypatch.delenv("KB_CHROMA_URL")
    retriever = Retriever(Index.open(index))
    assert retriever.find("okapi") and "KB_CHROMA_URL" in retriever.notice
    assert "KB_CHROMA_URL" in faults(index)["server"]
    assert ingest("--index", str(index)) == 0
    assert faults(index) == {}
    retriever = Retriever(Index.open(index))
    assert retriever.find("okapi") and retriever.notice == ""


@pytest.mark.slow
def test_the_server_dies_and_comes_back(named: Chroma, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository, _, _ = indexes.template()
    index = tmp_path / "index"
    assert ingest("--index", str(index), str(repository)) == 0
    retriever = Retriever(Index.open(index))
    whole = retriever.find("animals with stripes")
    assert whole and retriever.notice == ""

    named.kill()
    start = time.monotonic()
    assert retriever.find("zebra counter")[0].page == "kernel/zebras"
    assert time.monotonic() - start < 3
    assert retriever.notice.startswith("Searching by words alone: the Chroma server at http://127.0.0.1") and TOKEN not in retriever.notice
    assert "python -m ingest" in faults(index)["server"]

    # an ingest meanwhile is refused in one line, and harms nothing
    current = read_pointer(index)
    team = tmp_path / "team"
    team.mkdir()
    (team / "okapi.md").write_text("# Okapi\nAn okapi is striped.", encoding="utf-8")
    capsys.readouterr()
    assert ingest("--index", str(index), str(team)) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and "not changed" in printed and TOKEN not in printed
    assert read_pointer(index) == current

    named.start()
    assert retriever.find("animals with stripes") == whole and retriever.notice == ""
    assert ingest("--index", str(index), str(team)) == 0
    assert retriever.find("okapi")[0].page == "team/okapi" and retriever.notice == ""


@pytest.mark.slow
def test_the_server_dies_while_vectors_are_sent(named: Chroma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    repository, _, _ = indexes.template()
    index = tmp_path / "index"
    assert ingest("--index", str(index), str(repository)) == 0
    current, before = read_pointer(index), set(admin(named).names())
    team = tmp_path / "team"
    team.mkdir()
    (team / "okapi.md").write_text("# Okapi\nAn okapi is striped.", encoding="utf-8")
    monkeypatch.setattr(room, "BATCH", 4)
    add, calls = Server.add, []

    def dying(self: Server, collection: str, ids: list[str], vectors: np.ndarray) -> None:
        calls.append(1)
        if len(calls) == 3:
            named.kill()
        add(self, collection, ids, vectors)

    monkeypatch.setattr(Server, "add", dying)
    capsys.readouterr()
    assert ingest("--index", str(index), str(team)) == 1
    assert "not changed" in capsys.readouterr().err and read_pointer(index) == current
    named.start()
    retriever = Retriever(Index.open(index))
    assert retriever.find("zebra counter")[0].page == "kernel/zebras" and retriever.notice == ""
    assert len(set(admin(named).names()) - before) == 1, "the half-filled collection is still there"
    assert ingest("--index", str(index), str(team)) == 0
    assert retriever.find("okapi")[0].page == "team/okapi" and retriever.notice == ""
    assert len(set(admin(named).names()) - before) == 1, "the half-filled one was dropped, the new one serves"


@pytest.mark.slow
def test_a_wrong_token_is_named_and_a_lost_collection_is_built_again(named: Chroma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    repository, _, _ = indexes.template()
    index = tmp_path / "index"
    assert ingest("--index", str(index), str(repository)) == 0
    admin(named).drop(manifest_of(index / GENERATIONS / str(read_pointer(index)))["chroma"]["collection"])  # type: ignore[index]
    retriever = Retriever(Index.open(index))
    assert retriever.find("zebra counter") and retriever.notice
    assert "query" in faults(index)
    assert ingest("--index", str(index)) == 0
    assert faults(index) == {}
    assert retriever.find("zebra counter") and retriever.notice == ""

    monkeypatch.setenv("KB_CHROMA_HEADERS", '{"Authorization": "Bearer wrong-secret"}')
    retriever = Retriever(Index.open(index))
    assert retriever.find("zebra counter") and "KB_CHROMA_HEADERS" in retriever.notice and "wrong-secret" not in retriever.notice
    capsys.readouterr()
    assert ingest("--index", str(index)) == 1
    assert "401" in capsys.readouterr().err


@pytest.mark.slow
def test_the_rows_of_another_machine_are_ranked_alike(named: Chroma, tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    stored = random.normal(size=(2000, 64)) + 2 * random.normal(size=(20, 64)).repeat(100, axis=0)
    half = (stored / np.linalg.norm(stored, axis=1, keepdims=True)).astype(np.float16)
    ids = [f"id{row:04}" for row in range(2000)]
    server = admin(named)
    assert sum(room.write_remote(server, tmp_path, "poolwise-test-rows", ids, half)) == 2000
    vectors = RemoteVectors(server, "poolwise-test-rows", ids, 64)
    from kb.index.words import best

    for row in range(0, 2000, 271):
        query = half[row].astype(np.float32)
        assert vectors.nearest(query, 20) == best(half.astype(np.float32) @ query, 20)
    with pytest.raises(VectorsError, match="404"):
        RemoteVectors(server, "poolwise-no-such-rows", ids, 64).row(0)
    server.drop("poolwise-test-rows")
    server.drop("poolwise-test-rows")
