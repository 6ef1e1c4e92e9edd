"""An Assistant in, the Gradio conversation out: what a user types goes to `Assistant.ask`, what comes back is shown by `markup`."""

from __future__ import annotations

import html
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import gradio as gr

from kb.answer import Answer
from web import markup
from web.limits import too_long

HERE = Path(__file__).parent
CSS = HERE / "style.css"
NAME = "Poolwise"
TAGLINE = "Which pool, at which IRQL, and why: kernel-mode memory in Windows drivers"
KEPT = 40  # turns shown; older ones leave the page
IDLE_SECONDS = 4 * 3600  # after which a conversation is forgotten
EXAMPLES = (
    "Can my DPC routine read a buffer that I allocated from paged pool?",
    "Which pool for a list that a spin lock protects?",
    "At what IRQL can I call KeSetEvent?",
    "Bug check 0xD1 with parameter 2 = 2: what did my driver do wrong?",
    "Our driver code puts code and data in paged pool whenever possible. What are the real reasons for paged against nonpaged allocations?",
    "What is the Windows equivalent of kmalloc(GFP_ATOMIC)?",
    "How do I replace ExAllocatePoolWithTag, also for Windows 7?",
    "May I keep a KEVENT on the stack?",
)
LOG = logging.getLogger("poolwise")


class Answers(Protocol):
    """What the chat needs of `kb.chain.Assistant`."""

    def ask(self, text: str, earlier: Answer | None = None) -> Answer:
        """Answer one question of a conversation."""
        ...


@dataclass(frozen=True)
class Conversation:
    """One user's conversation. Gradio keeps one a browser tab; none is ever shared."""

    shown: tuple[str, ...] = ()
    """Sections of HTML, the oldest first."""
    count: int = 0
    last: Answer | None = None

    def with_turn(self, section: str, answer: Answer | None) -> Conversation:
        """The conversation one turn later; a turn that failed keeps the answer before it."""
        return Conversation((*self.shown, section)[-KEPT:], self.count + 1, answer or self.last)

    def page(self, pending: str = "") -> str:
        """Everything to show."""
        return "".join((*self.shown, pending)) or empty_page()


def empty_page() -> str:
    """What stands there before the first question: examples to click."""
    chips = "".join(f'<li><button type="button" class="pw-example" data-ask="{html.escape(text)}">{html.escape(text)}</button></li>' for text in EXAMPLES)
    return (
        '<section class="pw-empty" aria-labelledby="pw-start"><h2 id="pw-start">Ask about a decision, a call, a crash or a piece of code</h2>'
        "<p>A rule book decides; every claim names the page it rests on. What you do not state is asked, not guessed.</p>"
        f'<ul class="pw-examples">{chips}</ul></section>'
    )


def header() -> str:
    """The top of the page."""
    return (
        f'<header class="pw-header"><div class="pw-brand"><h1>{NAME}</h1><p>{TAGLINE}</p></div>'
        '<nav aria-label="Site"><a href="/rules" target="_blank">Rules</a><button type="button" class="pw-theme" aria-label="Switch between light and dark">'
        '<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><circle cx="8" cy="8" r="6.25" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        '<path d="M8 1.75a6.25 6.25 0 0 1 0 12.5z" fill="currentColor"/></svg></button></nav></header>'
    )


def check_text(text: str, _so_far: Conversation) -> list[dict[str, Any]]:
    """Refuse what is empty or too long before it is queued; Gradio wants an entry an input."""
    fault = too_long(text)
    return [gr.validate(not fault, fault), gr.validate(True, "")]


def answer_turn(assistant: Answers, text: str, so_far: Conversation) -> Iterator[tuple[str, Conversation]]:
    """Show the question at once, then its answer."""
    number = so_far.count + 1
    yield so_far.page(markup.waiting(number, text)), so_far
    answer = None
    try:
        answer = assistant.ask(text, so_far.last)
        section = markup.turn(number, text, answer)
    except Exception:  # a fault of ours must not end the conversation
        LOG.exception("no answer to %r", text[:200])
        section = markup.failed(number, text, "This question could not be answered because of a fault in the program; the console has the details. The conversation goes on.")
    later = so_far.with_turn(section, answer)
    yield later.page(), later


def build(assistant: Answers) -> Any:
    """
    Put the page together.

    Args:
        assistant: Answers questions; shared by all users, keeps no conversation.

    Returns:
        The page (`gradio.Blocks`); `server.build` mounts it with theme and style.
    """

    def typed(text: str, so_far: Conversation) -> Iterator[tuple[Any, ...]]:
        for page, later in answer_turn(assistant, text.strip(), so_far):
            yield page, later, ""

    def chosen(so_far: Conversation, event: gr.EventData) -> Iterator[tuple[Any, ...]]:
        text = str(getattr(event, "ask", "") or "").strip()
        if text and not too_long(text):
            yield from answer_turn(assistant, text, so_far)

    def prefill(request: gr.Request) -> Any:
        # Without a question in the address the box is left alone: on a slow line the user has begun to type by now.
        return str(request.query_params.get("q", ""))[:4000] or gr.skip()

    with gr.Blocks(title=NAME, analytics_enabled=False, fill_width=True) as page:
        gr.HTML(header(), elem_id="pw-top", js_on_load=(HERE / "theme.js").read_text(encoding="utf-8"), apply_default_css=False)
        conversation = gr.State(Conversation(), time_to_live=IDLE_SECONDS)
        transcript = gr.HTML(
            empty_page(), elem_id="pw-transcript", html_template=(HERE / "transcript.html").read_text(encoding="utf-8"),
            js_on_load=(HERE / "transcript.js").read_text(encoding="utf-8"), apply_default_css=False,
        )
        with gr.Column(elem_id="pw-composer"), gr.Row(elem_id="pw-row", equal_height=False):
            box = gr.Textbox(
                label="Your question or code", placeholder="Ask, or paste a function", lines=1, max_lines=10, autofocus=True, elem_id="pw-box", scale=1, container=False,
                html_attributes=gr.InputHTMLAttributes(spellcheck=False, autocorrect="off", autocapitalize="off"),
            )
            ask = gr.Button("Ask", variant="primary", elem_id="pw-ask", scale=0, min_width=76)
            fresh = gr.Button("New", elem_id="pw-new", scale=0, min_width=64)
        shared: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        for event in (box.submit, ask.click):
            event(typed, [box, conversation], [transcript, conversation, box], validator=check_text, **shared)
        transcript.click(chosen, [conversation], [transcript, conversation], **shared)
        fresh.click(lambda: (empty_page(), Conversation(), ""), None, [transcript, conversation, box], **shared)
        page.load(prefill, None, box, **shared)
    page.queue(default_concurrency_limit=8, max_size=64, api_open=False)
    return page


def theme() -> Any:
    """System fonts, square corners, one accent; colors come from style.css."""
    fonts = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
    mono = ("ui-monospace", "Cascadia Mono", "Consolas", "SF Mono", "Menlo", "DejaVu Sans Mono", "monospace")
    return gr.themes.Base(primary_hue="cyan", neutral_hue="slate", radius_size="sm", spacing_size="sm", text_size="md", font=fonts, font_mono=mono)
