"""An Assistant in, a web application out: the chat, /health, /ready, POST /api/ask and the rule book, under one address."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kb.chain import Assistant
from web import pages
from web.limits import MAX_CODE, too_long

HERE = Path(__file__).parent
HEADERS = {  # nothing on the page may reach another machine, whatever text it shows; Gradio needs inline scripts and eval
    b"content-security-policy": b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    b"font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
}
MAX_TURNS = 20  # of one POST /api/ask
MAX_BODY = 4 * MAX_CODE * MAX_TURNS  # bytes
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LOG = logging.getLogger("poolwise")


class SafeHeaders:
    """Adds `HEADERS` to every response, streams included."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS.items()]
            await send(message)

        await self.app(scope, receive, sending)


class BadRequestError(ValueError):
    """A request that cannot be answered; the message says what, where and the cure."""


def build(assistant: Assistant, host: str = "127.0.0.1", chat: bool = True) -> FastAPI:
    """
    Put the application together.

    Args:
        assistant: Shared by all requests.
        host: Where it will listen; on a loopback address, requests that name another host are refused (DNS rebinding).
        chat: Whether to mount the chat; without it Gradio is never imported.

    Returns:
        The application, to be served by one process.
    """
    app = FastAPI(title="Poolwise", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SafeHeaders)
    if host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready")
    def ready() -> dict[str, Any]:
        return {"ready": True, "rules": len(assistant.knowledge.rules), "notice": assistant.notice}

    @app.post("/api/ask")
    async def ask(request: Request) -> JSONResponse:
        try:
            turns, many = await read_turns(request)
        except BadRequestError as error:
            return JSONResponse({"error": str(error)}, 400)
        try:
            answers = await run_in_threadpool(answer_all, assistant, turns)
        except Exception:  # a fault of ours: say so in the form that callers parse
            LOG.exception("no answer to %r", turns[-1][:200])
            return JSONResponse({"error": "The question could not be answered because of a fault in the program; its console has the details."}, 500)
        return JSONResponse({"answers": answers} if many else answers[-1])

    @app.get("/rules", response_class=HTMLResponse)
    def rules() -> str:
        return pages.rule_list(assistant.knowledge)

    @app.get("/rules/{name}", response_class=HTMLResponse)
    def rule(name: str) -> HTMLResponse:
        return _page(pages.rule_page(assistant.knowledge, name))

    @app.get("/articles/{name}", response_class=HTMLResponse)
    def article(name: str) -> HTMLResponse:
        return _page(pages.article_page(name))

    if chat:
        import gradio

        from web.chat import CSS, theme
        from web.chat import build as build_chat

        gradio.mount_gradio_app(
            app, build_chat(assistant), path="/", theme=theme(), css_paths=CSS, footer_links=[], run_history=False, enable_monitoring=False, max_file_size="1kb",
            ssr_mode=False, favicon_path=str(HERE / "favicon.svg"), mcp_server=False, pwa=False, show_error=False,
        )
    return app


def _page(text: str | None) -> HTMLResponse:
    return HTMLResponse(text) if text is not None else HTMLResponse(pages.missing_page(), 404)


async def read_turns(request: Request) -> tuple[list[str], bool]:
    """
    Read `{"question": text}` or `{"turns": [{"user": text}, ...]}`.

    Returns:
        The questions of one conversation, and whether `turns` was given.

    Raises:
        BadRequestError: It is neither, or too long.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise BadRequestError(f"The request has more than {MAX_BODY:,} bytes; send less")
    try:
        sent = json.loads(body)
        many = "turns" in sent
        turns = [turn["user"] for turn in sent["turns"]] if many else [sent["question"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRequestError('Not a question; send JSON: {"question": "..."} or {"turns": [{"user": "..."}]}') from error
    if not 1 <= len(turns) <= MAX_TURNS:
        raise BadRequestError(f"{len(turns)} turns; send 1 to {MAX_TURNS}")
    for number, text in enumerate(turns, start=1):
        fault = too_long(text)
        if fault:
            raise BadRequestError(f"turn {number}: {fault}" if many else fault)
    return turns, many


def answer_all(assistant: Assistant, turns: list[str]) -> list[dict[str, Any]]:
    """The Answers of one conversation, in order, as JSON."""
    answers, earlier = [], None
    for text in turns:
        earlier = assistant.ask(text, earlier)
        answers.append(earlier.to_json())
    return answers
