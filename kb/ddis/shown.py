"""A routine in, what the terminal shows of it out: text, JSON, contradictions."""

from __future__ import annotations

import json
from typing import Any

from kb.ddis.records import RESTORES, Ddi, describe
from kb.ddis.table import DdiTable


def irql_text(ddi: Ddi) -> str:
    """
    A routine's facts for a reader of the terminal.

    Args:
        ddi: The routine.

    Returns:
        Lines of plain text: range, conditions with their sources, pages, contradictions.
    """
    who = "called by the driver" if ddi.role == "called_by_driver" else "implemented by the driver"
    lines = [f"{ddi.name}: {ddi.kind}, {who}"]
    lines.append("  IRQL: " + (describe(ddi.min, ddi.max) if ddi.max else "not stated in the documentation"))
    for row in ddi.rows:
        if row.max is None and row.min is None:
            continue
        where = row.page if row.source != "header" else "header annotation"
        lines.append(f"    {row.condition or 'always'}: {row.span}  [{row.source}; {where}{'#' + row.section if row.section and row.page else ''}]")
    lines += [f"    {row.condition or 'always'}, until {row.until}: {row.span}" for row in ddi.history]
    if ddi.raises == RESTORES:
        lines.append("  After the call: the caller's earlier IRQL is restored")
    elif ddi.raises:
        lines.append(f"  After the call: the code runs at {ddi.raises}")
    if ddi.since:
        lines.append(f"  Since: {ddi.since}")
    if ddi.deprecated_by:
        lines.append(f"  Deprecated; use {ddi.deprecated_by}")
    if ddi.aliases:
        lines.append(f"  Also: {', '.join(ddi.aliases)}")
    lines += [f"  Page: {page.url} ({page.header})" for page in ddi.pages if page.page]
    lines += [f"  Note: {text}" for text in ddi.notes]
    lines += [f"  Contradiction: {text}" for text in ddi.contradictions]
    return "\n".join(lines)


def irql_json(table: DdiTable, name: str) -> str:
    """One line of JSON for a name, found or not: what `kb irql NAME --json` prints."""
    ddi = table.find(name)
    return json.dumps(ddi.to_json() if ddi else not_found(table, name), ensure_ascii=False)


def not_found(table: DdiTable, name: str) -> dict[str, Any]:
    """The JSON record of a name that no routine has, with the nearest names (contract.md)."""
    return {
        "name": name, "found": False, "near": table.near(name), "kind": None, "pages": [], "rows": [], "role": None,
        "min": None, "max": None, "since": None, "deprecated_by": None, "contradictions": [],
    }  # fmt: skip


def contradictions_lines(table: DdiTable) -> list[str]:
    """
    Every contradiction the tables hold.

    Args:
        table: The table.

    Returns:
        Lines `name: both statements with their places; which one is used and why`, sorted.
    """
    found: list[str] = []
    for name in table.names():
        ddi = table.find(name)
        if ddi:
            found += [f"{ddi.name}: {text}" for text in ddi.contradictions]
    return sorted(found)
