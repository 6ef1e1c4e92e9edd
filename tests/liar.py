"""A local server that speaks OpenAI's chat protocol and does what a test tells it: words an answer, lies, stalls, breaks off, talks rubbish."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What the server does with one request."""

    text: str = ""
    status: int = 200
    finish: str | None = "stop"
    """The reason that ends the stream; None: it ends without one."""
    raw: bytes | None = None
    """Sent in place of a chat answer."""
    first: float = 0.0
    """Seconds before anything is sent."""
    pause: float = 0.0
    """Seconds between pieces."""
    dies: bool = False
    """Whether the connection is cut half-way."""
    pieces: int = 12


class Server(ThreadingHTTPServer):
    """A server that says nothing when it breaks a connection on purpose."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep the test's output clean."""


@dataclass
class Liar:
    """The server; `with Liar(Reply("...")) as liar:` and talk to `liar.url`."""

    reply: Reply | Callable[[dict[str, Any]], Reply]
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """The Authorization header of each request."""
    broken: int = 0
    """How many readers went away before the end."""

    @property
    def url(self) -> str:
        """The base address, for KB_CHAT_BASE_URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Liar:
        self._server = Server(("127.0.0.1", 0), handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def handler(liar: Liar) -> type[BaseHTTPRequestHandler]:
    """A request handler of this server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test's output clean."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            liar.requests.append(body)
            liar.keys.append(self.headers.get("Authorization", ""))
            reply = liar.reply if isinstance(liar.reply, Reply) else liar.reply(body)
            try:
                self.serve(reply, bool(body.get("stream")))
            except (BrokenPipeError, ConnectionResetError):
                liar.broken += 1
                self.close_connection = True

        def serve(self, reply: Reply, stream: bool) -> None:
            time.sleep(reply.first)
            if reply.status != 200 or reply.raw is not None:
                data = reply.raw if reply.raw is not None else json.dumps({"error": {"message": "secret-in-the-error", "type": "server_error"}}).encode()
                self.send_response(reply.status)
                self.send_header("Content-Type", "text/event-stream" if stream and reply.status == 200 else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return
            if not stream:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                data = json.dumps(chunk({"message": {"role": "assistant", "content": reply.text}}, reply.finish, "chat.completion")).encode()
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            size = max(1, -(-len(reply.text) // reply.pieces))
            pieces = [reply.text[start : start + size] for start in range(0, len(reply.text), size)]
            for number, piece in enumerate(pieces):
                if reply.dies and number >= len(pieces) // 2:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.event(chunk({"delta": {"role": "assistant", "content": piece}}, None))
                time.sleep(reply.pause)
            if reply.finish is not None:
                self.event(chunk({"delta": {}}, reply.finish))
            self.write(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")

        def event(self, data: dict[str, Any]) -> None:
            self.write(b"data: " + json.dumps(data).encode() + b"\n\n")

        def write(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    return Handler


def chunk(choice: dict[str, Any], finish: str | None, kind: str = "chat.completion.chunk") -> dict[str, Any]:
    """One message of the protocol."""
    return {"id": "liar-1", "object": kind, "created": 0, "model": "liar", "choices": [{"index": 0, **choice, "finish_reason": finish}]}
