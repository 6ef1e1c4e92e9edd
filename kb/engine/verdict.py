"""All uses of a question in, one verdict out, the worst case deciding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kb.engine.knowledge import Knowledge
from kb.engine.place import place_of
from kb.engine.records import MEMORY_ACTS, OUTSIDE_POOL, Facts, Judgement, Verdict
from kb.engine.use import judge
from kb.terms import rank


def weigh(uses: Sequence[Facts], knowledge: Knowledge, proposed: str = "") -> Verdict:
    """
    Judge everything a question does, over all uses.

    Args:
        uses: Facts of each use.
        knowledge: Rules and tables.
        proposed: The pool that the question proposes (`paged`, `nonpaged`), empty when it proposes none.

    Returns:
        The verdict. When undetermined, `unknown` names what would settle it.
    """
    seen = [number for number, use in enumerate(uses) if use.get("act") == "context"]
    memory = [number for number, use in enumerate(uses) if use.get("act") in MEMORY_ACTS]
    pooled = [number for number in memory if uses[number].get("memory.place") not in OUTSIDE_POOL and uses[number].get("said.pool") != "true"]
    calls = [number for number, use in enumerate(uses) if number not in memory and number not in seen]
    paged = [judge(with_pool(uses[number], "paged"), knowledge) for number in pooled]
    nonpaged = [judge(with_pool(uses[number], "nonpaged"), knowledge) for number in pooled]
    placed = {number: judge(uses[number], knowledge) for number in memory if number not in pooled}
    called = {number: judge(uses[number], knowledge) for number in calls}
    context = [place_of(uses[number], knowledge) for number in seen]
    pool = pool_of(paged, nonpaged) if pooled else "n/a"
    if placed:
        outcome = worst(list(placed.values()))
        if outcome == "undetermined" and pool in ("n/a", "paged_ok"):
            pool = "depends"
        elif outcome == "forbidden" and pool == "n/a":
            in_pool = [judge(with_pool({**uses[number], "memory.place": "pool"}, "paged"), knowledge) for number in placed]
            pool = "n/a" if worst(in_pool) == "allowed" else "nonpaged_required"  # where paged pool would do, the place is at fault and not the pool
        if not called and any(uses[number].get("said.pool") == "true" for number in placed):
            called = placed
            placed = {}
            pool = "n/a" if pool == "depends" else pool
    judged = list(called.values()) or (list(placed.values()) if not pooled else [])
    if not judged and proposed and pooled and all(uses[number].get("act") == "free" for number in pooled):
        judged = paged if proposed == "paged" else nonpaged  # "may I free the paged block there?" asks whether it can be done
    deciding, shown = deciding_use(pool, pooled, paged, nonpaged, placed, called, proposed)
    unsettled = [*called.values(), *placed.values(), *((*paged, *nonpaged) if pool == "depends" else ())]
    unsettled = [one for one in unsettled if one.outcome == "undetermined"]
    verdict = Verdict(
        pool=pool,
        callable={"allowed": "yes", "forbidden": "no", "undetermined": "conditional"}[worst(judged)] if judged else "n/a",
        derivation=tuple(dict.fromkeys(step for one in shown for step in one.steps)),
        unknown=tuple(dict.fromkeys(name for one in unsettled for name in one.unknown)),
        condition="; ".join(dict.fromkeys(condition for one in unsettled for condition in one.conditions)) or None,
        contradictions=tuple(dict.fromkeys(fault for one in (*paged, *placed.values(), *called.values()) for fault in one.contradictions)),
        assumed={name: value for one in shown for name, value in one.assumed.items()},
        judgements=tuple(shown),
        deciding=deciding,
    )
    verdict = with_outcome(with_limits(verdict, list(called.values())), proposed)
    if verdict.outcome == "undetermined" and not verdict.condition and verdict.unknown:
        verdict = replace(verdict, condition=meaning_of(verdict.unknown[0], knowledge))
    return with_context(verdict, context)


def meaning_of(name: str, knowledge: Knowledge) -> str:
    """A fact in words, as a condition names it."""
    if name.startswith("irql."):
        return "the IRQL at which it runs"
    fact = knowledge.terms.facts.get(name)
    return fact.meaning[0].lower() + fact.meaning[1:].rstrip(".") if fact is not None else name


def with_context(verdict: Verdict, context: Sequence[Judgement]) -> Verdict:
    """Add the range of the first place that is only asked about, where no call gives one."""
    if not context:
        return verdict
    first = context[0]
    return replace(
        verdict,
        min_irql=first.lowest if verdict.max_irql is None else verdict.min_irql,
        max_irql=first.highest if verdict.max_irql is None else verdict.max_irql,
        judgements=(*verdict.judgements, *context),
        contradictions=tuple(dict.fromkeys((*verdict.contradictions, *first.contradictions))),
        derivation=verdict.derivation or first.steps,
    )


def with_pool(use: Facts, pool: str) -> Facts:
    """The use, judged as if its memory came from this pool."""
    return {**use, "memory.pool": pool}


def pool_of(paged: Sequence[Judgement], nonpaged: Sequence[Judgement]) -> str:
    """
    The pool that all uses together allow.

    Args:
        paged: Every use of the memory judged as paged pool.
        nonpaged: The same uses judged as nonpaged pool.

    Returns:
        `nonpaged_required`, `paged_ok`, `not_allowed` or `depends`, as contract.md defines them.
    """
    worst_paged = worst(paged)
    worst_nonpaged = worst(nonpaged)
    if worst_nonpaged == "forbidden":
        return "not_allowed"
    if worst_paged == "forbidden":
        return "nonpaged_required"
    if worst_paged == "allowed" and worst_nonpaged == "allowed":
        if all(one.facts.get("act") == "store" and one.facts.get("object.storage") == "either" for one in paged):
            return "either"
        return "paged_ok"
    return "depends"


def worst(judgements: Sequence[Judgement]) -> str:
    """The outcome over all uses: one forbidden use forbids, `allowed` needs all."""
    outcomes = {one.outcome for one in judgements}
    if "forbidden" in outcomes:
        return "forbidden"
    return "undetermined" if "undetermined" in outcomes else "allowed"


def deciding_use(
    pool: str,
    pooled: Sequence[int],
    paged: Sequence[Judgement],
    nonpaged: Sequence[Judgement],
    placed: Mapping[int, Judgement],
    called: Mapping[int, Judgement],
    proposed: str,
) -> tuple[int | None, list[Judgement]]:
    """The number of the use that decided, and the judgements whose steps make the derivation, the deciding one last."""
    shown: list[Judgement] = []
    deciding = None
    if pool in ("nonpaged_required", "not_allowed"):
        side = nonpaged if pool == "not_allowed" else paged
        for number, one in zip(pooled, side, strict=True):
            if one.outcome == "forbidden":
                deciding = number if deciding is None else deciding
                shown.append(one)
        if pool == "nonpaged_required":
            good = [other for other, bad in zip(nonpaged, paged, strict=True) if bad.outcome == "forbidden" and other.outcome == "allowed"]
            shown = [*shown[:3], *good[:1]] if proposed == "nonpaged" else shown[:3]
    elif pool in ("paged_ok", "either", "depends"):
        shown += paged
        deciding = pooled[0] if pooled else None
    for number, one in (*placed.items(), *called.items()):
        shown.append(one)
        deciding = number if deciding is None or one.outcome == "forbidden" else deciding
    return deciding, shown


def with_limits(verdict: Verdict, called: Sequence[Judgement]) -> Verdict:
    """Add the documented IRQL range of what is called: over all rows that may apply, the widest."""
    lows, highs = [], []
    for one in called:
        rows = [row for row in one.rows if row.source != "header"] or list(one.rows)
        lows += [row.min for row in rows if row.min]
        highs += [row.max for row in rows if row.max]
        if "limit.highest" in one.facts and not rows:
            lows.append(str(one.facts.get("limit.lowest", "PASSIVE_LEVEL")))
            highs.append(str(one.facts["limit.highest"]))
        if lows or highs:
            break
    return replace(verdict, min_irql=min(lows, key=rank) if lows else None, max_irql=max(highs, key=rank) if highs else None)


def with_outcome(verdict: Verdict, proposed: str) -> Verdict:
    """Judge what the question proposes, from `callable` and `pool`."""
    parts = []
    if verdict.callable != "n/a":
        parts.append({"yes": "allowed", "no": "forbidden", "conditional": "undetermined"}[verdict.callable])
    if verdict.pool == "depends":
        parts.append("undetermined")
    elif verdict.pool == "not_allowed":
        parts.append("forbidden")
    elif verdict.pool != "n/a":
        parts.append("forbidden" if proposed == "paged" and verdict.pool == "nonpaged_required" else "allowed")
    if not parts:
        return replace(verdict, outcome="none")
    return replace(verdict, outcome="forbidden" if "forbidden" in parts else "undetermined" if "undetermined" in parts else "allowed")
