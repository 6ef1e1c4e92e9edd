"""Markdown in, safe HTML out: no raw HTML, no images, only http links, and `[n]` turned into links to sources."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

MARK = re.compile(r"\[(\d{1,3})\]")
# What an answer folds: the one pair of tags that is understood, alone on its lines; its title is escaped, its inside is Markdown.
FOLD_PARTS = re.compile(r"<details><summary>([^\n]*?)</summary>\n(.*?)\n</details>", re.S)
FOLD = re.compile(r"(^<details><summary>[^\n]*?</summary>\n.*?\n</details>$)", re.S | re.M)
SOURCE_LINK = "source_link"  # our token type
DEEPEST = 6  # HTML has six levels of headings


def render(text: str, sources: Mapping[int, tuple[str, str]] | None = None, heading: int = 3) -> str:
    """
    Render Markdown that is data: whatever stands in it, no tag and no script of its own reaches the page.

    Args:
        text: CommonMark with tables.
        sources: For every number that `[n]` may name, the id of the element to link to and its title; other marks stay text.
        heading: Level of the text's first-level headings, so that they fit below those of the page.

    Returns:
        HTML.
    """
    out = []
    for part in FOLD.split(text):
        fold = FOLD_PARTS.fullmatch(part)
        env: dict[str, Any] = {"sources": dict(sources or {}), "heading": heading}
        inner = str(_parser().render(fold.group(2) if fold else part, env))
        out.append(f'<details class="pw-fold"><summary>{html.escape(fold.group(1))}</summary>{inner}</details>' if fold else inner)
    return "".join(out)


@functools.cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "highlight": highlight}).enable("table").disable(["image", "reference", "html_block", "html_inline"])
    parser.core.ruler.push("sources", _link_sources)
    parser.core.ruler.push("headings", _lower_headings)
    rules: dict[str, Callable[..., str]] = parser.renderer.rules  # type: ignore[attr-defined]
    rules[SOURCE_LINK] = _source_link
    rules["link_open"] = _link_open
    rules["table_open"] = lambda *_: '<div class="pw-table" role="region" aria-label="Table" tabindex="0"><table>\n'
    rules["table_close"] = lambda *_: "</table></div>\n"
    return parser


def highlight(code: str, language: str = "c", _attributes: str = "") -> str:
    """A code block's inside as HTML, C colored; anything else is only escaped."""
    if language.lower() not in ("", "c", "cpp", "c++", "h"):
        return html.escape(code)
    from pygments import highlight as color
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import CLexer

    return str(color(code, CLexer(stripnl=False, ensurenl=False), HtmlFormatter(nowrap=True, classprefix="c-")))


def _link_sources(state: StateCore) -> None:
    """Split `text [1]` into text and a link to source 1."""
    for block in state.tokens:
        if block.children:
            block.children = [piece for token in block.children for piece in _pieces(token, state.env["sources"])]


def _pieces(token: Token, sources: Mapping[int, tuple[str, str]]) -> Sequence[Token]:
    if token.type != "text" or "[" not in token.content:
        return (token,)
    found, start = [], 0
    for mark in MARK.finditer(token.content):
        number = int(mark.group(1))
        if number in sources:
            found.append(Token("text", "", 0, content=token.content[start : mark.start()]))
            found.append(Token(SOURCE_LINK, "", 0, content=str(number)))
            start = mark.end()
    found.append(Token("text", "", 0, content=token.content[start:]))
    return found


def _source_link(tokens: Sequence[Token], at: int, _options: Any, env: Mapping[str, Any]) -> str:
    target, title = env["sources"][int(tokens[at].content)]
    number = tokens[at].content
    return f'<a class="pw-cite" href="#{html.escape(target)}" title="{html.escape(title)}" aria-label="source {number}: {html.escape(title)}">{number}</a>'


def _link_open(tokens: Sequence[Token], at: int, _options: Any, _env: Mapping[str, Any]) -> str:
    href = str(tokens[at].attrGet("href") or "")
    if not href.startswith(("https://", "http://")):
        return "<a>"
    return f'<a href="{html.escape(href)}" target="_blank" rel="noopener noreferrer">'


def _lower_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(DEEPEST, int(token.tag[1]) + int(state.env['heading']) - 1)}"
