"""A row of locks.yaml in, its claims out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kb.prove.claims.claim import Claim, own_citations, range_claims, routine_of, within
from kb.prove.claims.conditions import when_claims
from kb.prove.claims.storage import storage_claim
from kb.prove.levels import Range, hull, ranges_in, texts, told
from kb.terms import LEVELS, Row

RELEASING = re.compile(r"releas|left|leav|lower|set(ting)? |exit", re.I)
RAISING = re.compile(r"\b(sets|raises|raise|raised|reset|resets)\b|returns at|runs at|executes? at|is held|holder|holding|routine at DIRQL", re.I)
KEEPING = re.compile(r"no raise is necessary|not (change|raise)|without modifying|optimized|immediately returns FALSE|implicitly|guarded region", re.I)
MEETING = re.compile(r"must be (running|called)|called at|<=|>=|only (when|while)|must occur", re.I)


def lock_claims(row: Row) -> Iterator[Claim]:
    """Levels of a lock: a citation that speaks of acquiring, releasing or holding it states exactly this range."""
    where = f"locks/{row.id}"
    for column in ("requires", "release", "held"):
        if row.more.get(column):
            stated = lock_ranges(row, column)
            yield from range_claims(where, column, row.more[column], within(stated))
    if row.more.get("storage"):
        yield storage_claim(where, row)
    for number, case in enumerate(row.more.get("cases") or (), start=1):
        cited = list(own_citations(case, row))
        found = told(cited)
        for column in ("held", "requires"):
            if case.get(column):
                yield from range_claims(where, f"case {number} {column}", case[column], within(found))
        yield from when_claims(where, number, case, cited)


def lock_ranges(row: Row, column: str) -> set[Range]:
    """
    The ranges that the citations of a lock state for one of its columns.

    A term that says raise, set or hold speaks of the lock while it is held; every other level of its page speaks of the call.

    Args:
        row: The lock.
        column: `requires`, `release` or `held`.

    Returns:
        The ranges; for `held` of a lock that leaves the IRQL alone, what it requires.
    """
    frees = [str(name).lower() for name in row.more.get("free") or ()]
    takes = [str(name).lower() for name in row.more.get("acquire") or ()]
    found: set[Range] = set()
    own_page = {"requires": takes, "release": frees, "held": []}[column]
    anchored = any(citation.page.endswith(f"-{name}") for citation in row.citations for name in own_page)
    for citation in row.citations:
        routine = routine_of(citation)
        if anchored and routine and routine not in (*takes, *frees):
            continue  # another routine's page, such as that of the wait for the last release
        freeing = bool(RELEASING.search(citation.says)) or routine in frees
        taking = not freeing or "acqui" in citation.says.lower()
        raising = any(RAISING.search(term) and not MEETING.search(term) for term in citation.terms)
        told_here: list[Range] = []
        for term in citation.terms:
            meeting = bool(MEETING.search(term))
            holding = bool(RAISING.search(term)) and not meeting
            if column == "held":
                speaks = holding or not meeting and (raising or bool(re.search(r"holder|under (a|the|its) |until the release|is held|while", citation.says, re.I)))
            else:
                speaks = (freeing if column == "release" else taking) and not holding and (meeting or not raising)
            told_here += ranges_in(term) if speaks else []
            if column == "requires" and "NewIrql >= CurrentIrql" in term and row.more.get("held"):
                return {(LEVELS[0], row.more["held"]["highest"])}
        joint = hull(told_here)
        found |= {*told_here, joint} if joint is not None else set()
    if not found and column == "requires":
        found = set(told(row.citations))  # its own pages state no level, a sibling's page does
    if column == "release" and row.more.get("held") and any(re.search(r"restor|lowers", text) for text in texts(row.citations)):
        found.add((row.more["held"]["lowest"], row.more["held"]["highest"]))  # the release restores the level, so it happens at the level held
    requires = row.more.get("requires")
    if column == "held" and not found and requires and any(KEEPING.search(text) for text in texts(row.citations)):
        low, high = requires["lowest"], requires["highest"]
        found.add((low, high) if low == LEVELS[0] else (low, low))
    return found
