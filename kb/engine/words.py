"""Ranges and table rows in, their words and citations out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from kb.ddis import Ddi, DdiRow
from kb.terms import Citation, Row


def span(lowest: str, highest: str) -> str:
    """A range of IRQL in words."""
    if lowest == highest:
        return f"`IRQL = {lowest}`"
    if lowest == "PASSIVE_LEVEL":
        return "any IRQL" if highest == "HIGH_LEVEL" else f"`IRQL <= {highest}`"
    if highest == "HIGH_LEVEL":
        return f"`IRQL >= {lowest}`"
    return f"`{lowest} <= IRQL <= {highest}`"


def titled(row: Row, note: str = "") -> str:
    """A row's note with its subject before it, since a note may begin with "It"."""
    title = row.title if row.title.startswith("`") else row.title[0].upper() + row.title[1:]
    return f"{title}: {note or row.note}"


def row_words(row: DdiRow) -> str:
    """One DDI row as a phrase: the range and the condition."""
    level = span(row.min or "PASSIVE_LEVEL", row.max or "HIGH_LEVEL") if row.min or row.max else "no level stated"
    condition = f"{row_condition(row)} {f'until {row.until}' if row.until else ''}"
    return f"{level} {condition}".strip()


def row_condition(row: DdiRow) -> str:
    """The condition of a DDI row in words, beginning with `when` or `if`; empty when it holds always."""
    if row.condition:
        text = row.condition
        if text.lower().startswith(("when", "if ", "on ", "for ", "unless", "with ", "without ", "under ")):
            return text
        if re.search(r"\b(is|are|was|has|have|runs|holds|states|lives|uses|says|can|does|==|!=|<|>)\b|==", text):
            return f"if {text}"
        return f"for {text}"
    return "when " + " and ".join(f"`{name}` is {value}" for name, value in row.when.items()) if row.when else ""


def ddi_citations(ddi: Ddi, rows: Sequence[DdiRow]) -> tuple[Citation, ...]:
    """
    Citations of a DDI's rows, page and section each once.

    Args:
        ddi: The DDI.
        rows: Some of its rows.

    Returns:
        One citation a page and section, in row order; header rows cite the DDI's first page as the place to compare with.
    """
    found: dict[tuple[str, str | None], Citation] = {}
    pages = [page.page for page in ddi.pages if page.page]
    for row in rows:
        page = row.page if row.page in pages or row.source == "correction" and row.page else (pages[0] if pages else row.page)
        section = row.section or "requirements"
        if row.source == "header" or not page:
            continue
        says = f"{ddi.name}: {row_words(row)}."
        key = (page, section)
        if key in found:
            if row_words(row) not in found[key].says:
                found[key] = replace(found[key], says=found[key].says[:-1] + "; " + row_words(row) + ".")
            continue
        found[key] = Citation.read({"page": page, "section": section, "says": says}, ddi.name)
    if pages and not any(page in pages for page, _ in found):  # none, or only the page that its own page leads to
        found[(pages[0], None)] = Citation.read({"page": pages[0], "says": f"The reference page of {ddi.name}."}, ddi.name)
    return tuple(found.values())
