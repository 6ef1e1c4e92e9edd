"""The blocks of a Case in, for each the pool that all its uses together allow out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kb.case import JUDGED, known, words_of
from kb.engine import OUTSIDE_POOL, Facts, Judgement, pool_of
from kb.judge.acts import broken_at, conditions_of, doubts_of, storage_facts
from kb.judge.bench import Bench
from kb.judge.contexts import NOWHERE
from kb.judge.records import Context, Judged, PoolFinding, worst
from kb.judge.uses import POOLS, Use, Uses


@dataclass(frozen=True)
class Site:
    """A use of a block's memory, with where it happens."""

    subject: str
    use: Use
    context: Context
    possible: bool = False
    """Whether the act is told as one that may happen only."""


def judge_block(ident: str, uses: Uses, bench: Bench, only: str = "") -> PoolFinding:
    """
    Decide the pool of a block over everything that is done with it and everything that lies in it.

    Args:
        ident: Id of the block.
        uses: Of the Case.
        bench: Judges.
        only: An object's row: judge that object alone.

    Returns:
        The finding; `depends` where the worst case is open, also where it hangs on an act that is only possible.
    """
    sites = sites_of(ident, uses, only)
    subject = f"{ident}.{only}" if only else ident
    proposed = proposed_pool(ident, uses)
    sure = decide_pool(subject, [site for site in sites if not site.possible], uses, bench, proposed)
    if not any(site.possible for site in sites):
        return sure
    all_of_it = decide_pool(subject, sites, uses, bench, proposed)
    if all_of_it.pool == sure.pool:
        return all_of_it
    maybe = [uses.case.acts[site.subject].words or site.subject for site in sites if site.possible and site.subject in uses.case.acts]
    condition = "whether it happens: " + "; ".join(f"“{words}”" for words in dict.fromkeys(maybe))
    return PoolFinding(subject, "depends", all_of_it.judged, conditions=(condition,), proposed=proposed)


def sites_of(ident: str, uses: Uses, only: str) -> list[Site]:
    """Every use of a block's memory: by acts, and as the home of objects."""
    block = uses.case.blocks[ident]
    stored = [Site(f"{ident}.{name}", use, NOWHERE) for name, use in uses.storage(ident, block, waits_on(ident, uses)) if not only or name == only]
    if only:
        return stored
    sites = []
    for name, act in uses.case.acts.items():
        if act.block != ident or act.standing not in JUDGED:
            continue
        for context in uses.situation.contexts(act.place):
            possible = act.standing == "possible"
            sites += [Site(name, use, context, possible) for use in uses.touching(act, context)]
    return sites + stored


def waits_on(ident: str, uses: Uses) -> Facts:
    """How a block is waited for, which decides whether the stack may hold it."""
    modes: dict[str, str] = {}
    for act in uses.case.acts.values():
        if act.block == ident and act.act == "wait" and act.standing in JUDGED:
            told = storage_facts({name: fact.text for name, fact in act.facts.items()})
            modes |= told if modes.get("wait.mode") != "user" else {}
    return modes


def proposed_pool(ident: str, uses: Uses) -> str:
    """The pool that the Case gives or proposes for a block; empty when it tells none."""
    block = uses.case.blocks[ident]
    told = str(uses.block_facts(ident).get("memory.pool", ""))
    return told or (block.pool.text if block.pool is not None and block.pool.text in POOLS else "")


def decide_pool(subject: str, sites: Sequence[Site], uses: Uses, bench: Bench, proposed: str) -> PoolFinding:
    """The pool over some uses of a block."""
    outside = [site for site in sites if site.use.facts.get("memory.place") in OUTSIDE_POOL]
    if outside:
        return outside_pool(subject, outside, bench, proposed)
    if not sites:
        return PoolFinding(subject, "depends", unknown=("irql.highest",), proposed=proposed)
    paged = [judged(site, bench.in_pool(site.use.facts, "paged"), "paged") for site in sites]
    nonpaged = [judged(site, bench.in_pool(site.use.facts, "nonpaged"), "nonpaged") for site in sites]
    pool = pool_of([one.judgement for one in paged], [one.judgement for one in nonpaged])
    if pool in ("paged_ok", "either") and (doubts := block_doubts(subject, sites, uses)):
        return PoolFinding(subject, "depends", tuple(paged), conditions=doubts, proposed=proposed)
    return pool_finding(subject, pool, paged, nonpaged, bench, proposed)


def pool_finding(subject: str, pool: str, paged: list[Judged], nonpaged: list[Judged], bench: Bench, proposed: str) -> PoolFinding:
    """The finding with what decides it first."""
    side = nonpaged if pool == "not_allowed" else paged
    outcome = {"nonpaged_required": "forbidden", "not_allowed": "forbidden", "depends": "undetermined"}.get(pool, "allowed")
    ordered = sorted(side, key=lambda one: one.outcome != outcome)
    open_ones = [one for one in (*paged, *nonpaged) if one.outcome == "undetermined"] if pool == "depends" else []
    unknown = tuple(dict.fromkeys(name for one in open_ones for name in one.judgement.unknown))
    conditions = tuple(dict.fromkeys(conditions_of(open_ones)))
    broken = broken_at([one for one in side if one.outcome == "forbidden"], bench) if outcome == "forbidden" else ""
    return PoolFinding(subject, pool, tuple(ordered), unknown, conditions, broken, proposed)


def outside_pool(subject: str, sites: Sequence[Site], bench: Bench, proposed: str) -> PoolFinding:
    """What holds of memory that comes from no pool: `nonpaged_required` where it lies in the wrong place and paged pool would not do either."""
    made = [judged(site, bench.judge(site.use.facts), "") for site in sites]
    outcome = worst([one.outcome for one in made])
    ordered = tuple(sorted(made, key=lambda one: one.outcome != outcome))
    unknown = tuple(dict.fromkeys(name for one in made if one.outcome == "undetermined" for name in one.judgement.unknown))
    if outcome == "undetermined":
        return PoolFinding(subject, "depends", ordered, unknown, tuple(dict.fromkeys(conditions_of(made))), proposed=proposed)
    if outcome == "allowed":
        return PoolFinding(subject, "n/a", ordered, proposed=proposed)
    in_pool = [bench.in_pool({**site.use.facts, "memory.place": "pool"}, "paged").outcome for site in sites]
    pool = "n/a" if worst(in_pool) == "allowed" else "nonpaged_required"
    return PoolFinding(subject, pool, ordered, proposed=proposed or "paged")


def judged(site: Site, judgement: Judgement, pool: str) -> Judged:
    """A use of a block as it was judged for a pool."""
    return Judged(judgement, site.subject, site.use.part, site.context, pool)


def block_doubts(subject: str, sites: Sequence[Site], uses: Uses) -> tuple[str, ...]:
    """What is not known of a block or of where it is used, in words: while there is any, paged pool is not firmly fine."""
    ident = subject.split(".", 1)[0]
    block = uses.case.blocks[ident]
    table = uses.knowledge.terms.tables.get("objects", {})
    found = [f"where `{words_of(one)}` may live" for one in block.objects if known(one) not in table]
    found += [f"whether it is {row.title}" for row in uses.maybe_in(ident, block)]
    found += [words for site in sites for words in site.context.doubts]
    found += [words for site in sites if (act := uses.case.acts.get(site.subject)) for words in doubts_of(act, uses)]
    return tuple(dict.fromkeys(found))
