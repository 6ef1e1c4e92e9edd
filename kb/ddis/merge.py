"""The lines of one routine in, its record out, with what they state differently."""

from __future__ import annotations

from collections.abc import Sequence

from kb.ddis.lines import Line
from kb.ddis.records import Ddi, DdiPage, DdiRow, case_of, lacks_sign
from kb.terms import LEVELS, page_url, rank

GENERAL = ("wdm.h", "ntddk.h", "ntifs.h")
"""Headers in whose order the pages of a routine are told."""


def merge(own: Sequence[Line], fixes: Sequence[Line]) -> Ddi:
    """Join the lines of one routine: corrections replace what pages say, header rows stay as the second witness."""
    every = [*own, *fixes]
    first = every[0]
    corrected = any(entry.row.max and not entry.row.until for entry in fixes)  # one without levels only adds an effect or a reason, one of the past a history
    dated = any(entry.row.until for entry in fixes)
    rows: list[DdiRow] = []
    history: list[DdiRow] = []
    for entry in every:
        row = entry.row
        if row.source in ("page", "remarks") and (corrected or dated and row.until):
            continue
        same = [(other.when, other.condition, other.min, other.max, other.source) for other in rows]
        if row.until:
            if row not in history:
                history.append(row)
        elif (row.when, row.condition, row.min, row.max, row.source) not in same and (row.max or row.min):
            rows.append(row)
    rows.sort(key=lambda row: (row.source == "header", bool(row.when or row.condition)))
    pages: dict[str, DdiPage] = {}
    for entry in own:
        if entry.page and entry.row.source != "header" and entry.page not in pages:
            pages[entry.page] = DdiPage(entry.page, page_url(entry.page), entry.header, entry.raw)
    if not pages:
        pages = {entry.header: DdiPage("", "", entry.header, "") for entry in own}
    role = next((entry.role for entry in (*fixes, *own) if entry.role), "called_by_driver")
    texts = [] if corrected else list(dict.fromkeys(entry.contradiction for entry in every if entry.contradiction))
    texts += disagreements(own, rows, role, corrected)
    texts += [entry.reason.removeprefix("Contradiction: ") for entry in fixes if entry.reason.startswith("Contradiction: ")]
    return Ddi(
        name=first.name,
        aliases=tuple(sorted({alias for entry in every for alias in entry.aliases} - {first.name})),
        kind=first.kind or "function",
        role=role,
        pages=tuple(sorted(pages.values(), key=lambda page: (not page.raw, GENERAL.index(page.header) if page.header in GENERAL else len(GENERAL), page.page))),
        rows=tuple(rows),
        since=next((entry.since for entry in every if entry.since), None),
        deprecated_by=next((entry.deprecated_by for entry in (*fixes, *own) if entry.deprecated_by), None),
        contradictions=tuple(texts),
        raises=next((entry.effect for entry in (*fixes, *own) if entry.effect), None),
        history=tuple(history),
        notes=tuple(entry.reason for entry in fixes if entry.reason and not entry.reason.startswith("Contradiction: ")),
    )


def disagreements(own: Sequence[Line], rows: Sequence[DdiRow], role: str, fixed: bool) -> list[str]:
    """What page and page, or page and header, state differently about the same condition."""
    found: list[str] = []
    documented = [entry.row for entry in own if entry.row.source in ("page", "remarks") and entry.row.max and not entry.row.until]
    for at, row in enumerate(documented):
        for other in documented[at + 1 :]:
            if row.page != other.page and case_of(row) == case_of(other) and (row.min, row.max) != (other.min, other.max):
                text = f"{row.page} says {row.span}{condition_mark(row)}, {other.page} says {other.span}; the wider range is told, both pages are shown"
                if text not in found:
                    found.append(text)
    told = [row for row in rows if row.source != "header"]
    for header_row in (row for row in rows if row.source == "header"):
        blanket = not header_row.when and not header_row.condition
        ends = sorted((level for row in told for level in (row.min or LEVELS[0], row.max or LEVELS[-1])), key=rank)
        if blanket and ends and (ends[0], ends[-1]) == (header_row.min, header_row.max):
            continue  # the header tells the widest range only
        same = [row for row in told if case_of(row) == case_of(header_row)]
        widest = sorted(told, key=lambda row: -rank(row.max or LEVELS[0]))[:1]
        for page_row in same or [row for row in told if not row.when and not row.condition] or widest:
            if (page_row.min, page_row.max) == (header_row.min, header_row.max):
                continue
            kind = compared(page_row, header_row, role)
            if not same and kind != "stricter":
                continue  # a blanket level beside a finer one says nothing against it
            use = "the page's level is used"
            if kind == "stricter":
                use += ", and the case between the two is conditional"
            elif lacks_sign(page_row, header_row, role):
                use = "the front matter lacks the sign, so the header's range is used"
            said = f"{page_row.page}#{page_row.section}" + (" (read by a person)" if fixed else "")
            found.append(f"{said} says {page_row.span}{condition_mark(page_row)}, the header's annotation is {kind}: {header_row.span}{condition_mark(header_row)}; {use}")
    return list(dict.fromkeys(found))


def condition_mark(row: DdiRow) -> str:
    """The condition of a row in brackets, to stand behind its range."""
    return f" ({row.condition})" if row.condition else ""


def compared(page: DdiRow, header: DdiRow, role: str) -> str:
    """How the header's range compares, for the role: `stricter`, `looser`, or `different`."""
    low, high = rank(header.min or LEVELS[0]) - rank(page.min or LEVELS[0]), rank(header.max or LEVELS[-1]) - rank(page.max or LEVELS[-1])
    if role == "implemented_by_driver":
        return "stricter" if high > 0 else "looser" if high < 0 or low else "different"
    if high <= 0 and low >= 0:
        return "stricter"
    return "looser" if high >= 0 and low <= 0 else "different"
