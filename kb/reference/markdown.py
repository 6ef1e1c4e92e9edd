"""Texts and citations in, Markdown out."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

from kb.answer.cites import page_title
from kb.engine import load_knowledge
from kb.terms import Citation

WRITTEN = "Written by kb.reference from {source}; edit that, then run `python -m kb.reference`."


def cell(text: object) -> str:
    """A text as one cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|") or " "


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table as lines."""
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    return lines + ["| " + " | ".join(cell(one) for one in row) + " |" for row in rows]


def page(source: str, title: str, lines: Iterable[str]) -> str:
    """A generated page: where it comes from, its title, its lines."""
    return "\n".join([f"<!-- {WRITTEN.format(source=source)} -->", "", f"# {title}", "", *lines]).rstrip() + "\n"


def code(names: Iterable[object], limit: int = 8) -> str:
    """Names in code marks."""
    found = [str(name) for name in names]
    return ", ".join(f"`{name}`" for name in found[:limit]) + (f" and {len(found) - limit} more" if len(found) > limit else "")


def named(citation: Citation) -> str:
    """What a reader calls the page of a citation."""
    return page_title(citation.page, citation.url, spellings())


@functools.cache
def spellings() -> dict[str, str]:
    """Every documented routine's name by its lower-case form."""
    return {name.lower(): name for name in load_knowledge().ddis.names()}


def sources(citations: Iterable[Citation]) -> list[str]:
    """Citations as a list with links, each page and section once."""
    lines = {}
    for citation in citations:
        name = named(citation) + (f", {citation.section}" if citation.section else "")
        lines[citation.url] = f"- [{name}]({citation.url})" + (f": {citation.says}" if citation.says else "") + (" (outside the driver documentation)" if citation.outside else "")
    return list(lines.values())


def links(citations: Iterable[Citation], limit: int = 2) -> str:
    """The first citations as short links."""
    found = dict.fromkeys((named(citation), citation.url) for citation in citations)
    return ", ".join(f"[{name}]({url})" for name, url in list(found)[:limit])
