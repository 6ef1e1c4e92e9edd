"""One use in, its judgement with the proof out."""

from __future__ import annotations

from dataclasses import replace

from kb.engine.availability import availability
from kb.engine.knowledge import Knowledge
from kb.engine.limits import Limits, limits_of
from kb.engine.place import Place
from kb.engine.records import Facts, Judgement, Step, Value
from kb.engine.rules import apply_rules, conclude
from kb.engine.storage import storage_of
from kb.engine.words import span

ANY_LEVEL = ("PASSIVE_LEVEL", "HIGH_LEVEL")


def judge(use: Facts, knowledge: Knowledge) -> Judgement:
    """
    Judge one use, and keep the proof.

    The same facts and rules always give the same judgement, whatever the order of the rules.

    Args:
        use: Facts of the use, by name in `facts.yaml`. A missing name is unknown, not false.
        knowledge: Rules and tables.

    Returns:
        The outcome with its derivation: premises first, the deciding rule last.
    """
    facts: dict[str, Value] = dict(use)
    if facts.get("act") == "touch" and "memory.pool" in facts:
        facts.setdefault("memory.place", "pool")  # a block whose pool is known lies in no user buffer
    place = Place(facts, knowledge)
    place.settle()
    steps, assumed, contradictions = list(place.steps), dict(place.assumed), list(place.contradictions)
    storage_of(facts, knowledge, steps)
    conclude(facts, knowledge, steps, assumed, contradictions)
    availability(facts, knowledge, steps)
    limits = limits_of(facts, knowledge)
    base = Judgement("undetermined", (), assumed=assumed, contradictions=tuple(contradictions), lowest=place.lowest, highest=place.highest, facts=facts, rows=limits.rows)
    called = facts.get("act") in ("call", "acquire")
    judged = judge_limits(base, steps, limits, place.unknown, knowledge) if called else apply_rules(base, steps, place.unknown, knowledge)
    if place.bounded and judged.outcome == "forbidden":
        lowest = judge({**use, "irql.lowest": str(place.lowest), "irql.highest": str(place.lowest)}, knowledge)
        if lowest.outcome != "forbidden":  # `ZwQueryValueKey` under a KMUTEX: legal at PASSIVE_LEVEL, which the mutex admits
            return replace(judged, outcome="undetermined", steps=judged.steps[:-1], unknown=("irql.highest",))
    return judged


def judge_limits(base: Judgement, steps: list[Step], limits: Limits, waiting: tuple[str, ...], knowledge: Knowledge) -> Judgement:
    """
    Judge a call under every documented limit that may apply; only agreement gives a firm outcome.

    Args:
        base: The judgement so far.
        steps: The steps so far.
        limits: The documented limits.
        waiting: Facts on which the place's IRQL waits.
        knowledge: The rules.

    Returns:
        `allowed` or `forbidden` when all limits agree, else `undetermined` with what would settle it.
    """
    if not limits.pages:
        return replace(base, steps=tuple(steps), unknown=waiting)
    results: list[Judgement] = []
    for lowest, highest, step in [*limits.pages, *limits.headers]:
        facts = {**base.facts, "limit.lowest": lowest, "limit.highest": highest}
        if (lowest, highest) == ANY_LEVEL and "irql.highest" not in facts:
            facts["irql.lowest"], facts["irql.highest"] = ANY_LEVEL  # wherever it is called, it is within the limit
        results.append(apply_rules(replace(base, facts=facts), [*steps, step], waiting, knowledge))
    outcomes = [result.outcome for result in results]
    paged = outcomes[: len(limits.pages)]
    if len(set(outcomes)) == 1:
        if outcomes[0] == "undetermined":
            return results[0]
        decided = results[0]
        extra = [step for _, _, step in limits.pages[1:] if step not in decided.steps]
        return replace(decided, steps=(*decided.steps[:-1], *extra, decided.steps[-1]))
    all_steps = (*steps, *(step for _, _, step in (*limits.pages, *limits.headers)))
    if len(set(paged)) == 1:  # the pages agree with each other, the header does not
        words = f"the page documents {span(*limits.pages[0][:2])}, the header annotates {span(*limits.headers[0][:2])}"
        return replace(base, outcome="undetermined", steps=all_steps, conditions=(words,))
    unknown = limits.choosing or tuple(dict.fromkeys(name for result in results for name in result.unknown))
    return replace(base, outcome="undetermined", steps=all_steps, unknown=unknown, conditions=limits.conditions)
