"""A call and facts in, the IRQL limits documented for it out."""

from __future__ import annotations

from typing import NamedTuple

from kb.ddis import Ddi, DdiRow
from kb.engine.availability import since_of
from kb.engine.knowledge import Knowledge
from kb.engine.records import LIMIT_FACTS, Facts, Step
from kb.engine.truth import Truth, holds
from kb.engine.words import ddi_citations, row_condition, row_words, titled
from kb.terms import Terms, rank

Limit = tuple[str, str, Step]
"""Lowest level, highest level, and the step that gives them."""


class Limits(NamedTuple):
    """The documented IRQL limits of a call or of acquiring a lock."""

    pages: tuple[Limit, ...] = ()
    """What the pages say, each of which may apply."""
    headers: tuple[Limit, ...] = ()
    """Stricter annotations of the header."""
    choosing: tuple[str, ...] = ()
    """Facts that would choose among the pages' limits."""
    conditions: tuple[str, ...] = ()
    """Conditions in words that no fact expresses."""
    rows: tuple[DdiRow, ...] = ()
    """The DDI rows that they come from."""


def rows_in_force(ddi: Ddi, facts: Facts, terms: Terms) -> tuple[DdiRow, ...]:
    """
    The rows that hold on the Windows version stated.

    Args:
        ddi: The DDI called.
        facts: The use's facts.
        terms: For the order of versions.

    Returns:
        Today's rows; where an older Windows is stated, those of the past that held for it.
    """
    stated = terms.order("windows", str(facts["windows"])) if "windows" in facts else None
    if stated is None:
        return ddi.working
    past = [(terms.order("windows", last), row) for row in ddi.history if (last := since_of(row.until)) is not None]
    return tuple(row for order, row in past if order is not None and stated <= order) or ddi.working


def candidate_rows(ddi: Ddi, facts: Facts, terms: Terms) -> tuple[list[DdiRow], list[DdiRow], tuple[str, ...]]:
    """
    The documented rows that may apply to a call.

    Args:
        ddi: The DDI called.
        facts: The use's facts, which decide the rows' conditions.
        terms: For the order of Windows versions.

    Returns:
        Page rows that may apply, header rows that may apply, and the facts that would choose among the page rows.
    """
    sure: list[DdiRow] = []
    maybe: list[DdiRow] = []
    headers: list[DdiRow] = []
    missing: list[str] = []
    working = rows_in_force(ddi, facts, terms)
    pages = list(working)
    remarks = [row for row in pages if row.source == "remarks"]
    if remarks and any(not row.when and not row.condition for row in remarks):
        pages = remarks  # an unconditional sentence in the Remarks outranks the front matter
    for row in pages:
        if not row.when and not row.condition:
            continue
        truth, absent = holds(row.when, facts) if row.when else (stated_condition(row, facts), ())
        if truth == "true":
            sure.append(row)
        elif truth == "unknown":
            maybe.append(row)
            missing += absent
    plain = [row for row in pages if not row.when and not row.condition]
    plain = [row for row in plain if row.source in ("remarks", "correction")] or plain
    for row in ddi.rows:
        if row.source == "header" and row not in working:
            truth, _ = holds(row.when, facts) if row.when else (("unknown", ()) if row.condition else ("true", ()))
            if truth == "true":
                headers.append(row)
    chosen = sure or maybe + plain
    headers = [row for row in headers if any(stricter(row, other, ddi.role) for other in chosen)]
    return chosen, headers, () if sure else tuple(dict.fromkeys(missing))


def stricter(row: DdiRow, other: DdiRow, role: str) -> bool:
    """Whether *row* allows less than *other*: for what the driver calls a lower maximum or a higher minimum, for what it implements the reverse."""
    if role == "implemented_by_driver":
        return bool(row.max and other.max and rank(row.max) > rank(other.max))
    lower = bool(row.max and other.max and rank(row.max) < rank(other.max))
    return lower or bool(row.min and other.min and rank(row.min) > rank(other.min))


def stated_condition(row: DdiRow, facts: Facts) -> Truth:
    """Whether the question states the condition that a row gives in words only."""
    said = facts.get("condition")
    if said is None:
        return "unknown"
    return "true" if said == row.condition else "false"


def limits_of(use: Facts, knowledge: Knowledge) -> Limits:
    """
    The IRQL limits of what a use calls or acquires.

    Args:
        use: The use's facts.
        knowledge: Rows of DDIs and locks.

    Returns:
        The limits; none for a use that does neither.
    """
    name, lock = use.get("ddi"), use.get("acquired")
    if isinstance(name, str):
        ddi = knowledge.ddis.find(name)
        return call_limits(ddi, use, knowledge.terms) if ddi is not None else Limits()
    held = knowledge.terms.row("locks", lock) if isinstance(lock, str) else None
    if held is None or not held.more.get("requires"):
        return Limits()
    limit = next((case["requires"] for case in held.more.get("cases") or () if "requires" in case and holds(case["when"], use)[0] == "true"), held.more["requires"])
    return Limits(((limit["lowest"], limit["highest"], Step(f"locks/{held.id}", titled(held), ("acquired",), held.citations, LIMIT_FACTS)),))


def call_limits(ddi: Ddi, use: Facts, terms: Terms) -> Limits:
    """The limits of a documented routine, from its rows that may apply to this use."""
    pages, headers, missing = candidate_rows(ddi, use, terms)
    conditions = tuple(dict.fromkeys(row_condition(row) for row in pages if row.condition and not row.when))
    return Limits(
        tuple(row_limit(ddi, row, f"`{ddi.name}` is documented for") for row in pages if row.min or row.max),
        tuple(row_limit(ddi, row, f"The header annotates `{ddi.name}` for") for row in headers if row.min or row.max),
        missing,
        conditions,
        (*pages, *headers),
    )


def row_limit(ddi: Ddi, row: DdiRow, says: str) -> Limit:
    """The limit that one row of a routine sets."""
    citations = ddi_citations(ddi, [row] if row.source != "header" else ddi.rows)
    step = Step(f"ddi/{ddi.name}", f"{says} {row_words(row)}.", ("ddi", *row.when), citations, LIMIT_FACTS)
    return row.min or "PASSIVE_LEVEL", row.max or "HIGH_LEVEL", step
