"""A row of objects.yaml in, its claims out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from kb.engine import Knowledge, judge
from kb.prove.claims.claim import Claim, own_citations
from kb.prove.claims.conditions import speaks_of, when_claims
from kb.prove.claims.storage import storage_claim
from kb.terms import Citation, Row, text_of

OTHER_POOL = {"paged": "nonpaged", "nonpaged": "paged"}


def object_claims(row: Row, knowledge: Knowledge) -> Iterator[Claim]:
    """Storage of an object, and its cases: what a case allows must be resident by the rules, what it forbids must not."""
    where = f"objects/{row.id}"
    yield storage_claim(where, row)
    for number, case in enumerate(row.more.get("cases") or (), start=1):
        cited = own_citations(case, row)
        when = {str(name): text_of(value) for name, value in case["when"].items() if not isinstance(value, list)}
        allowed = bool(case.get("allowed", True))
        if set(when) == {"memory.place", "wait.mode"}:

            def agrees(mode: str, when: Mapping[str, str] = when, allowed: bool = allowed, cited: Sequence[Citation] = cited) -> bool:
                use = {"act": "touch", "memory.place": when["memory.place"], "wait.mode": mode, "irql.lowest": "DISPATCH_LEVEL", "irql.highest": "DISPATCH_LEVEL"}
                return speaks_of("wait.mode", mode, cited) and (judge(use, knowledge).outcome == "allowed") == allowed

            mode = when["wait.mode"]
            yield Claim(where, f"case {number} when wait.mode", mode, ("user" if mode == "kernel" else "kernel",), agrees)
            continue
        if when.get("memory.pool") and not allowed:  # what forbids paged pool says that nonpaged pool is demanded
            pool = when["memory.pool"]
            yield Claim(where, f"case {number} when memory.pool", pool, (OTHER_POOL[pool],), demander(cited))
            case = {**case, "when": {name: value for name, value in case["when"].items() if name != "memory.pool"}}
        yield from when_claims(where, number, case, cited)


def demander(citations: Sequence[Citation]) -> Callable[[str], bool]:
    """Whether the citations speak of the other pool, which they demand."""
    return lambda pool: speaks_of("memory.pool", OTHER_POOL[pool], citations)
