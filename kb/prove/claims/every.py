"""The tables in, all their claims out."""

from __future__ import annotations

from collections.abc import Iterator

from kb.engine import Knowledge
from kb.prove.claims.allocators import allocator_claims
from kb.prove.claims.arguments import position_claims
from kb.prove.claims.bugchecks import bugcheck_claims
from kb.prove.claims.claim import Claim
from kb.prove.claims.conditions import condition_claims
from kb.prove.claims.linux import linux_claims
from kb.prove.claims.locks import lock_claims
from kb.prove.claims.objects import object_claims
from kb.prove.claims.pool_arguments import argument_claims
from kb.prove.claims.routines import routine_claims
from kb.prove.pages import Pages


def claims(knowledge: Knowledge, pages: Pages | None = None) -> Iterator[Claim]:
    """
    Every figure of the hand-written tables that its citations must carry.

    Args:
        knowledge: The tables, and the rules and routines that some columns are compared with.
        pages: The corpus, None where it is absent; what only a page carries then makes no claim.

    Yields:
        Claims, in table order.
    """
    terms = knowledge.terms
    for row in terms.tables["routines"].values():
        yield from routine_claims(row)
        yield from condition_claims(f"routines/{row.id}", row)
    for row in terms.tables["locks"].values():
        yield from lock_claims(row)
        yield from condition_claims(f"locks/{row.id}", row)
    for row in terms.tables["objects"].values():
        yield from object_claims(row, knowledge)
        yield from condition_claims(f"objects/{row.id}", row)
    for row in terms.tables["allocators"].values():
        yield from allocator_claims(row, terms)
    for row in terms.tables["pool_arguments"].values():
        yield from argument_claims(row, terms)
    for row in terms.tables["bugchecks"].values():
        yield from bugcheck_claims(row, pages)
    for row in terms.tables["linux"].values():
        yield from linux_claims(row, knowledge)
    for entry in terms.arguments:
        yield from position_claims(entry, knowledge, pages)
