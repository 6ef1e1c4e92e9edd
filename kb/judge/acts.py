"""The acts and places of a Case in, a finding for each out: over every context, the worst deciding."""

from __future__ import annotations

from collections.abc import Iterable

from kb.case import JUDGED, Act, Unknown, known, words_of
from kb.engine import Facts
from kb.judge.bench import Bench
from kb.judge.contexts import locks_in, strange_facts
from kb.judge.records import Context, Finding, Judged, worst
from kb.judge.uses import Use, Uses
from kb.terms import rank


def judge_act(ident: str, uses: Uses, bench: Bench) -> Finding:
    """
    Judge an act wherever its place can run.

    Args:
        ident: Id of the act.
        uses: Of the Case.
        bench: Judges.

    Returns:
        Forbidden when it is in one context, allowed when it is in all and everything in it is known.
    """
    act = uses.case.acts[ident]
    judged = [judged_use(ident, use, context, bench) for context in uses.situation.contexts(act.place) for use in uses.of_act(act, context)]
    if not judged:
        return Finding(ident, "undetermined", (), conditions=tuple(unknown_subject(act)))
    stored = [] if act.act in ("store", "touch") else forbidden_storage(ident, uses, bench)
    outcome = worst([one.outcome for one in (*judged, *stored)])
    doubts = (*doubts_of(act, uses), *(words for one in judged for words in one.context.doubts))
    if outcome == "allowed" and doubts:
        outcome = "undetermined"
    conditions = tuple(dict.fromkeys((*doubts, *conditions_of(judged))))
    return finding(ident, outcome, [*judged, *stored], conditions, bench)


def judged_use(subject: str, use: Use, context: Context, bench: Bench) -> Judged:
    """One use with its judgement."""
    return Judged(bench.use(use), subject, use.part, context)


def finding(ident: str, outcome: str, judged: list[Judged], conditions: tuple[str, ...], bench: Bench) -> Finding:
    """The finding with what decides it first, what would settle it, and at which end of the range it is broken."""
    ordered = sorted(judged, key=lambda one: one.outcome != outcome)
    unknown = tuple(dict.fromkeys(name for one in judged if one.outcome == "undetermined" for name in one.judgement.unknown))
    broken = broken_at([one for one in judged if one.outcome == "forbidden"], bench) if outcome == "forbidden" else ""
    return Finding(ident, outcome, tuple(ordered), unknown if outcome == "undetermined" else (), conditions, broken)


def broken_at(forbidden: list[Judged], bench: Bench) -> str:
    """`lowest` when something is forbidden even at the lowest level its place can have, else `highest`."""
    for one in forbidden:
        use = Use(one.judgement.facts, one.part)
        if bench.at_lowest(use, one.judgement).outcome == "forbidden":
            return "lowest"
    return "highest"


def forbidden_storage(ident: str, uses: Uses, bench: Bench) -> list[Judged]:
    """Where the object that an act uses may not lie: an event on the stack of a `UserMode` wait, a lock in paged memory."""
    act = uses.case.acts[ident]
    block = uses.case.blocks.get(act.block or "")
    if block is None or act.block is None:
        return []
    used = {uses.object_of.get(uses.ddi_of(act), ""), known(act.object)} | set(uses.objects_in(act.block, block) if act.act in ("wait", "acquire") else ())
    found = []
    for context in uses.situation.contexts(act.place):
        for name, use in uses.storage(act.block, block, storage_facts(uses.act_facts(act, context))):
            if name in used and told_place(use.facts):
                found.append(Judged(bench.judge(use.facts), f"{act.block}.{name}", "storage", context))
    return [one for one in found if one.outcome == "forbidden"]


def storage_facts(facts: Facts) -> dict[str, str]:
    """Of an act's facts, those on which storage can depend: how it is waited for."""
    return {name: str(facts[name]) for name in ("wait.mode",) if name in facts}


def told_place(facts: Facts) -> bool:
    """Whether it is told where the memory of an object is."""
    return "memory.pool" in facts or facts.get("memory.place", "pool") != "pool"


def unknown_subject(act: Act) -> Iterable[str]:
    """What of an act nobody knows, so that nothing can be judged."""
    for name in (act.ddi, act.lock, act.allocator, act.object):
        if isinstance(name, Unknown):
            yield f"what `{name.unknown}` demands"
        elif isinstance(name, str):
            yield f"what `{name}` demands"


def doubts_of(act: Act, uses: Uses) -> list[str]:
    """What of an act no table knows, in words; while there is any, nothing is firmly allowed."""
    found = [f"whether `{words_of(name)}` raises the IRQL" for name in act.locks if not uses.situation.lock_of(known(name))]
    if act.act == "acquire" and taken_again(act, uses):
        found.append("whether this lock may be taken again while it is held")
    if isinstance(act.ddi, Unknown) and act.act != "free":
        found.append(f"what `{act.ddi.unknown}` demands")
    elif isinstance(act.ddi, str) and not uses.ddi_of(act) and uses.allocator_of(act) is None and act.act in ("call", "acquire"):
        found.append(f"what `{act.ddi}` demands")
    return found + strange_facts(act.facts, uses.knowledge)


def taken_again(act: Act, uses: Uses) -> bool:
    """Whether a lock that saves a level or waits is taken while it is held; a region only counts."""
    lock = uses.situation.lock_of(known(act.lock))
    held = {uses.situation.lock_of(known(name)) for name in act.locks}
    held |= {name for context in uses.situation.contexts(act.place) for name in locks_in(context.facts)}
    row = uses.knowledge.terms.row("locks", lock)
    return row is not None and lock in held and bool(row.more.get("storage"))


def conditions_of(judged: list[Judged]) -> Iterable[str]:
    """Conditions in words on which undetermined judgements hang."""
    for one in judged:
        if one.outcome == "undetermined":
            yield from one.judgement.conditions
            yield from (f"the level at which `{name}` runs" for name in one.context.unknown)


def judge_place(ident: str, uses: Uses, bench: Bench, pageable: str = "") -> Finding | None:
    """
    Judge whether a place's code may be pageable.

    Args:
        ident: Id of the place.
        uses: Of the Case.
        bench: Judges.
        pageable: `true` judges it as pageable whatever is told of it.

    Returns:
        The finding; None when nothing tells that its code is pageable.
    """
    contexts = uses.situation.contexts(ident)
    told = [one for one in contexts if (pageable or one.facts.get("code.pageable")) == "true"]
    if not told:
        return None
    judged = [judged_use(ident, run_use(facts), context, bench) for context in told for facts in ran(ident, context, uses)]
    outcome = worst([one.outcome for one in judged])
    doubts = (*(words for one in told for words in one.doubts), *(words for act in acts_at(ident, uses) for words in doubts_of(act, uses)))
    if outcome == "allowed" and doubts:
        outcome = "undetermined"
    return finding(ident, outcome, judged, tuple(dict.fromkeys((*doubts, *conditions_of(judged)))), bench)


def acts_at(ident: str, uses: Uses) -> list[Act]:
    """The acts that are done at a place."""
    return [act for act in uses.case.acts.values() if act.place == ident and act.standing in JUDGED]


def run_use(facts: Facts) -> Use:
    """Pageable code running under these facts."""
    return Use({**facts, "act": "run", "code.pageable": "true"}, "code")


def ran(ident: str, context: Context, uses: Uses) -> list[Facts]:
    """The states in which a place's code runs: as it is entered, and with the locks that it takes or does something under."""
    states: list[Facts] = [dict(context.facts)]
    for act in acts_at(ident, uses):
        facts = uses.act_facts(act, context)
        taken = uses.situation.lock_of(known(act.lock)) if act.act == "acquire" else ""
        held = {*locks_in(facts)} | ({taken} if taken and raises(taken, uses) else set())
        state = {**context.facts, **({"lock": tuple(sorted(held))} if held else {})}
        if state not in states:
            states.append(state)
    return states


def raises(lock: str, uses: Uses) -> bool:
    """Whether holding a lock forces a level at which no page may be missing."""
    row = uses.knowledge.terms.row("locks", lock)
    held = row.more.get("held") if row is not None else None
    return held is not None and rank(held["lowest"]) >= rank("DISPATCH_LEVEL")
