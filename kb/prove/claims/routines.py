"""A row of routines.yaml in, its claims out."""

from __future__ import annotations

from collections.abc import Iterator

from kb.prove.claims.claim import Claim, own_citations, range_claims, within
from kb.prove.claims.conditions import when_claims
from kb.prove.levels import joint_range, told, wider
from kb.terms import LEVELS, Row


def routine_claims(row: Row) -> Iterator[Claim]:
    """The range of a routine is the smallest that holds what its citations state; that of a case is one its own citations state."""
    where = f"routines/{row.id}"
    every = joint_range(row.citations)
    required = joint_range([citation for citation in row.citations if citation.section == "requirements"])
    fitting = {required or every} | ({every} if wider(every, required) else set())
    yield from range_claims(where, "irql", row.more["irql"], lambda irql: irql in fitting)
    for number, case in enumerate(row.more.get("cases") or (), start=1):
        cited = own_citations(case, row)
        stated = told(cited)
        upto = {(LEVELS[0], high) for low, high in stated if low == high} if case.get("irql", {}).get("lowest") == LEVELS[0] else set()
        if case.get("irql"):
            yield from range_claims(where, f"case {number}", case["irql"], within({*stated, *upto}))
        yield from when_claims(where, number, case, cited)
