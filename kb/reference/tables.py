"""The knowledge tables in, a page for each out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kb.engine import span
from kb.reference.markdown import code, links, page, table
from kb.terms import LEVELS, Row, text_of


def levels(entry: object) -> str:
    """A range of IRQL in a table row, in words; empty when there is none."""
    if not isinstance(entry, dict) or "highest" not in entry:
        return ""
    return span(str(entry.get("lowest", LEVELS[0])), str(entry["highest"]))


def when_words(when: Mapping[str, Any]) -> str:
    """A table row's condition in words."""
    return ", ".join(f"`{name}` is {' or '.join(text_of(one) for one in value) if isinstance(value, list) else text_of(value)}" for name, value in when.items())


def cases(row: Row, column: str = "irql") -> str:
    """The narrower cases of a row, with their ranges or whether they allow."""
    found = []
    for case in row.more.get("cases") or ():
        told = levels(case.get(column)) or ("allowed" if case.get("allowed", True) else "not allowed")
        found.append(f"{when_words(case['when'])}: {told}")
    return "; ".join(found)


def limits(row: Row, column: str) -> str:
    """The highest IRQL of an allocation or release, by memory."""
    entry = row.more.get(column) or {}
    return ", ".join((f"{memory}: " if memory != "any" else "") + levels(limit) for memory, limit in entry.items() if memory != "with")


def words(value: object) -> str:
    """A closed value as a word for a table."""
    return "" if value is None else {"true": "yes", "false": "no"}.get(text_of(value), text_of(value).replace("_", " "))


def identity(row: Row) -> str:
    """A row's title and names."""
    title = row.title[:1].upper() + row.title[1:]
    names = [name for name in row.names if name not in title]
    return title + (f" ({code(names, 3)})" if names else "")


Columns = Sequence[tuple[str, Callable[[Row], object]]]
TABLE_PAGES: dict[str, tuple[str, Columns]] = {
    "routines": (
        "Routines: where driver code runs",
        (
            ("routine", identity),
            ("IRQL", lambda row: levels(row.more.get("irql"))),
            ("narrower", cases),
            ("thread", lambda row: words(row.more.get("thread"))),
            ("note", lambda row: row.note),
        ),
    ),
    "locks": (
        "Locks and regions: what they do to the IRQL",
        (
            ("lock", identity),
            ("acquire at", lambda row: levels(row.more.get("requires"))),
            ("held at", lambda row: levels(row.more.get("held")) or "unchanged"),
            ("APCs while held", lambda row: words(row.more.get("apcs"))),
            ("may block", lambda row: words(row.more.get("may_wait"))),
            ("pageable memory under it", lambda row: words(row.more.get("paging_allowed"))),
            ("own storage", lambda row: words(row.more.get("storage"))),
        ),
    ),
    "objects": (
        "Objects: where they may live",
        (
            ("object", identity),
            ("storage", lambda row: words(row.more.get("storage"))),
            ("cases", cases),
            ("homes", lambda row: ", ".join(words(place) for place in row.more.get("places") or ())),
            ("note", lambda row: row.note),
        ),
    ),
    "allocators": (
        "Allocators: which memory, up to which IRQL",
        (
            ("allocator", identity),
            ("gives", lambda row: words(row.more.get("gives"))),
            ("zeroed", lambda row: words(row.more.get("zeroed"))),
            ("allocate", lambda row: limits(row, "allocate")),
            ("free", lambda row: limits(row, "release")),
            ("freed by", lambda row: code((row.more.get("release") or {}).get("with") or (), 3)),
            ("since", lambda row: row.more.get("since", "")),
            ("newer", lambda row: code(row.more.get("replaced_by") or ())),
            ("older Windows", lambda row: code(row.more.get("down_level") or ())),
        ),
    ),
    "pool_arguments": (
        "POOL_FLAGS and POOL_TYPE values",
        (
            ("value", identity),
            ("of", lambda row: f"`{row.more.get('enum')}`"),
            ("pool", lambda row: words(row.more.get("pool"))),
            ("executable", lambda row: words(row.more.get("executable"))),
            ("since", lambda row: row.more.get("since", "")),
            ("note", lambda row: row.note),
        ),
    ),
    "bugchecks": (
        "Bug checks: what was probably done",
        (
            ("code", lambda row: f"`0x{row.more['code']:02X}`"),
            ("name", lambda row: f"`{row.more.get('symbol')}`"),
            ("what it says", lambda row: row.note),
            ("subcodes", lambda row: len(row.more.get("subcodes") or ()) or ""),
            ("rules probably broken", lambda row: ", ".join(f"[{name}](../rules/{name}.md)" for name in row.more.get("rules") or ())),
        ),
    ),
    "linux": (
        "Linux terms and what they are in Windows",
        (
            ("Linux", lambda row: f"`{row.more.get('linux')}`"),
            ("Windows", lambda row: code(row.more.get("windows") or ())),
            ("maps", lambda row: words(row.more.get("maps"))),
            ("the difference that bites", lambda row: row.more.get("difference", "")),
        ),
    ),
    "tools": (
        "Tools: which one shows it",
        (("tool", identity), ("use", lambda row: row.more.get("use", "")), ("limit", lambda row: row.more.get("limit", ""))),
    ),
}


def table_page(name: str, rows: Iterable[Row]) -> str:
    """One knowledge table as a page."""
    title, columns = TABLE_PAGES[name]
    listed = list(rows)
    heads = (*(head for head, _ in columns), "source")
    return page(f"kb/knowledge/{name}.yaml", title, [f"{len(listed)} rows.", "", *table(heads, ([*(read(row) for _, read in columns), links(row.citations)] for row in listed))])
