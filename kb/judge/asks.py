"""A judged situation and an ask in, the verdict of this ask alone out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kb.case import Ask, Case
from kb.ddis import describe
from kb.engine import place_of
from kb.judge.acts import judge_act, judge_place
from kb.judge.bench import Bench
from kb.judge.blocks import judge_block
from kb.judge.records import AskVerdict, Finding, Judged, JudgedAsk, PoolFinding, worst
from kb.judge.uses import MEMORY, Uses
from kb.terms import rank

CALLABLE = {"allowed": "yes", "forbidden": "no", "undetermined": "conditional"}
POOL_ORDER = ("not_allowed", "nonpaged_required", "depends", "either", "paged_ok")  # contract.md: the strictest first


@dataclass(frozen=True)
class Subject:
    """What an ask is about, sorted by part of the Case."""

    acts: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    """Ids of blocks, or `block.object`."""

    @classmethod
    def of(cls, ask: Ask, case: Case) -> Subject:
        """Find the acts, places and blocks that *ask* names; all of them for `case`."""
        about = [one.split("[", 1)[0] for one in ask.about]
        if "case" in about or ask.kind == "review" and not about:
            return cls(tuple(case.acts), tuple(case.places), tuple(case.blocks))
        return cls(
            tuple(one for one in about if one in case.acts),
            tuple(one for one in about if one in case.places),
            tuple(one for one in about if one.split(".", 1)[0] in case.blocks),
        )


def judge_ask(ident: str, uses: Uses, bench: Bench) -> JudgedAsk:
    """
    Judge one ask by itself.

    Args:
        ident: Id of the ask.
        uses: Of the Case.
        bench: Judges.

    Returns:
        Its verdict; abstained for what is not ours, and where nothing of it could be judged.
    """
    ask = uses.case.asks[ident]
    subject = Subject.of(ask, uses.case)
    if ask.kind == "outside":
        return JudgedAsk(ident, AskVerdict(), abstained=True)
    if ask.kind == "pool":
        return pool_ask(ident, ask, subject, uses, bench)
    if ask.kind == "code":
        return code_ask(ident, subject, uses, bench)
    if ask.kind == "level":
        return level_ask(ident, subject, uses, bench)
    return acts_ask(ident, ask, subject, uses, bench)


def pool_ask(ident: str, ask: Ask, subject: Subject, uses: Uses, bench: Bench) -> JudgedAsk:
    """Which pool a block must come from."""
    named = subject.blocks or tuple(block for act in subject.acts if (block := uses.case.acts[act].block))
    found = [pool_of_block(name, uses, bench) for name in dict.fromkeys(named)]
    if not found:
        return JudgedAsk(ident, AskVerdict("undetermined", pool="depends", condition="which memory is meant"))
    first = min(found, key=lambda one: POOL_ORDER.index(one.pool) if one.pool in POOL_ORDER else len(POOL_ORDER))
    proposed = ask.proposes if isinstance(ask.proposes, str) else first.proposed
    outcome = pool_outcome(first.pool, proposed)
    return made(ident, AskVerdict(outcome, pool=first.pool, broken_at=first.broken_at), first.judged, first.unknown, first.conditions)


def pool_of_block(name: str, uses: Uses, bench: Bench) -> PoolFinding:
    """The pool of a block or of one object in it."""
    block, _, only = name.partition(".")
    return judge_block(block, uses, bench, only)


def pool_outcome(pool: str, proposed: str) -> str:
    """What a pool verdict says of the pool that is proposed."""
    if pool == "depends":
        return "undetermined"
    if pool == "not_allowed" or proposed == "paged" and pool == "nonpaged_required":
        return "forbidden"
    return "none" if pool == "n/a" else "allowed"


def code_ask(ident: str, subject: Subject, uses: Uses, bench: Bench) -> JudgedAsk:
    """Whether the code of a place may be pageable."""
    places = subject.places or tuple(place for act in subject.acts if (place := uses.case.acts[act].place))
    found = [one for name in dict.fromkeys(places) if (one := judge_place(name, uses, bench, "true")) is not None]
    outcome = worst([one.outcome for one in found])
    shown = deciding(found, outcome)
    highest = "APC_LEVEL" if found else ""  # pageable code may run at IRQL <= APC_LEVEL, whatever its place
    broken = shown.broken_at if shown else ""
    verdict = AskVerdict(outcome, callable=CALLABLE[outcome], max_irql=highest, broken_at=broken)
    return made(ident, verdict, shown.judged if shown else (), *waiting(found))


def level_ask(ident: str, subject: Subject, uses: Uses, bench: Bench) -> JudgedAsk:
    """At which levels a place can run, or a call may be made."""
    if subject.acts and not subject.places:
        found = [judge_act(name, uses, bench) for name in subject.acts]
        low, high = limits(found)
        words = describe(low, high) if high else ""
        return made(ident, AskVerdict("none", min_irql=low, max_irql=high, level=words), found[0].judged)
    placed = [place_of(context.facts, uses.knowledge) for name in subject.places for context in uses.situation.contexts(name)]
    lows, highs = [one.lowest for one in placed if one.lowest], [one.highest for one in placed if one.highest]
    if len(highs) < len(placed) or not placed:  # a level of some callers is not the level of all
        names = [name for place in subject.places for context in uses.situation.contexts(place) for name in context.unknown]
        condition = "; ".join(f"the level at which `{name}` runs" for name in dict.fromkeys(names)) or "which routine it is"
        return JudgedAsk(ident, AskVerdict("undetermined", condition=condition), unknown=("irql.highest",))
    low, high = min(lows, key=rank) if lows else "PASSIVE_LEVEL", max(highs, key=rank)
    steps = tuple(dict.fromkeys(step for one in placed for step in one.steps))
    verdict = AskVerdict("none", min_irql=low, max_irql=high, level=describe(low, high), because=subject.places)
    return JudgedAsk(ident, verdict, derivation=steps)


def acts_ask(ident: str, ask: Ask, subject: Subject, uses: Uses, bench: Bench) -> JudgedAsk:
    """Whether acts may be done where they are done, the pageable code of places, and the pool of the memory they touch."""
    found = [judge_act(name, uses, bench) for name in subject.acts]
    found += [one for name in subject.places if (one := judge_place(name, uses, bench)) is not None]
    memory = [uses.case.acts[name].block for name in subject.acts if uses.case.acts[name].act in MEMORY]
    blocks = dict.fromkeys([*subject.blocks, *(one for one in memory if one)])
    pools = [pool_of_block(name, uses, bench) for name in blocks]
    if not found and not pools:
        return JudgedAsk(ident, AskVerdict(), abstained=ask.kind != "may")
    outcome = worst([one.outcome for one in found]) if found else ""
    shown = deciding(found, outcome)
    pool = min((one.pool for one in pools if one.pool in POOL_ORDER), key=POOL_ORDER.index, default="")
    low, high = limits([one for one in found if one.outcome == outcome])
    verdict = AskVerdict(
        outcome=worst([*([outcome] if outcome else []), *(pool_outcome(one.pool, one.proposed) for one in pools if one.pool in POOL_ORDER)]),
        pool=pool,
        callable=CALLABLE.get(outcome, ""),
        min_irql=low,
        max_irql=high,
        claim=claimed(ask, outcome, pools),
        broken_at=shown.broken_at if shown else "",
        wrong=wrong_ids(found, pools) if ask.kind == "review" else (),
    )
    judged = [*(shown.judged if shown else ()), *(one for pool_found in pools for one in pool_found.judged[:2])]
    unknown, conditions = waiting(found)
    return made(ident, verdict, judged, unknown, conditions)


def claimed(ask: Ask, outcome: str, pools: Sequence[PoolFinding]) -> str:
    """Whether what is claimed in a form that the rules can compare is right; empty where they cannot."""
    if ask.kind != "claim":
        return ""
    proposes = ask.proposes
    wanted = proposes.get("callable") if isinstance(proposes, dict) else None
    if wanted in ("yes", "no") and outcome in ("allowed", "forbidden"):
        return "right" if CALLABLE[outcome] == wanted else "wrong"
    firm = {one.pool for one in pools} & {"nonpaged_required", "paged_ok"}
    if proposes in ("paged", "nonpaged") and len(firm) == 1:
        return "right" if firm == {{"paged": "paged_ok", "nonpaged": "nonpaged_required"}[str(proposes)]} else "wrong"
    return ""


def wrong_ids(found: Iterable[Finding], pools: Iterable[PoolFinding]) -> tuple[str, ...]:
    """Ids of all that a review finds wrong."""
    return (*(one.subject for one in found if one.outcome == "forbidden"), *(one.subject for one in pools if one.wrong))


def deciding(found: Sequence[Finding], outcome: str) -> Finding | None:
    """The first finding that has the outcome."""
    return next((one for one in found if one.outcome == outcome), None)


def waiting(found: Sequence[Finding]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Facts and conditions on which undetermined findings hang."""
    open_ones = [one for one in found if one.outcome == "undetermined"]
    unknown = tuple(dict.fromkeys(name for one in open_ones for name in one.unknown))
    return unknown, tuple(dict.fromkeys(words for one in open_ones for words in one.conditions))


def limits(found: Sequence[Finding]) -> tuple[str, str]:
    """The documented range of what is called, over several calls the strictest; empty when no page states one."""
    ranges = [one for finding in found for judged in finding.judged if (one := limit_of(judged)) is not None]
    if not ranges:
        return "", ""
    return max((low for low, _ in ranges), key=rank), min((high for _, high in ranges), key=rank)


def limit_of(judged: Judged) -> tuple[str, str] | None:
    """The documented range of one call with its arguments: of several rows that may apply, the widest."""
    rows = [row for row in judged.judgement.rows if row.source != "header"] or list(judged.judgement.rows)
    if rows:
        lows, highs = [row.min or "PASSIVE_LEVEL" for row in rows], [row.max or "HIGH_LEVEL" for row in rows]
        return min(lows, key=rank), max(highs, key=rank)
    facts = judged.judgement.facts
    if "limit.highest" in facts:
        return str(facts.get("limit.lowest", "PASSIVE_LEVEL")), str(facts["limit.highest"])
    return None


def made(ident: str, verdict: AskVerdict, judged: Iterable[Judged] = (), unknown: tuple[str, ...] = (), conditions: tuple[str, ...] = ()) -> JudgedAsk:
    """The ask with its proof: what decides, and the steps that lead there."""
    shown = tuple(judged)
    top = [one for one in shown if one.outcome == verdict.outcome] or list(shown)
    steps = tuple(dict.fromkeys(step for one in top[:3] for step in one.judgement.steps))
    because = tuple(dict.fromkeys(name for one in top for name in (one.subject, *one.context.path) if name))
    words = "; ".join(conditions) or (unknown[0] if unknown and verdict.outcome == "undetermined" else "")
    condition = verdict.condition or (words if verdict.outcome == "undetermined" else "")
    assumed = {name: value for one in top[:3] for name, value in one.judgement.assumed.items()}
    return JudgedAsk(ident, replace(verdict, because=because, condition=condition), shown, steps, unknown, assumed=assumed)
