"""A Case in, the judged Case out: every act, block and place judged, each ask with a verdict of its own, what else is wrong."""

from __future__ import annotations

from kb.case import JUDGED, Case, apply_patch
from kb.engine import Knowledge
from kb.judge.acts import judge_act, judge_place
from kb.judge.asks import judge_ask
from kb.judge.bench import Bench
from kb.judge.blocks import judge_block
from kb.judge.contexts import Situation
from kb.judge.records import Also, AskVerdict, Finding, Judged, JudgedAsk, JudgedCase, PoolFinding
from kb.judge.uses import Uses

__all__ = ["AskVerdict", "Judged", "JudgedAsk", "JudgedCase", "judge_case"]


def judge_case(case: Case, knowledge: Knowledge) -> JudgedCase:
    """
    Judge everything in a Case, whether it is asked about or not.

    Args:
        case: The situation and its asks.
        knowledge: Rules and tables.

    Returns:
        Findings of acts, places and blocks, a verdict for each ask, and what is forbidden and was not asked.

    Raises:
        CaseError: The patch under which an ask is to be judged does not apply.
    """
    uses, bench = Uses(Situation(case, knowledge)), Bench(knowledge)
    acts = {name: judge_act(name, uses, bench) for name in case.acts}
    places = {name: found for name in case.places if (found := judge_place(name, uses, bench)) is not None}
    pools = {name: judge_block(name, uses, bench) for name in case.blocks}
    asks = {name: one_ask(name, case, uses, bench) for name in case.asks}
    return JudgedCase(case, asks, acts, places, pools, unasked(case, asks, acts, places, pools))


def one_ask(name: str, case: Case, uses: Uses, bench: Bench) -> JudgedAsk:
    """An ask judged, under its own supposition when it has one."""
    suppose = case.asks[name].suppose
    if not suppose:
        return judge_ask(name, uses, bench)
    supposed = apply_patch(case, suppose)
    return judge_ask(name, Uses(Situation(supposed, bench.knowledge)), bench)


def unasked(
    case: Case, asks: dict[str, JudgedAsk], acts: dict[str, Finding], places: dict[str, Finding], pools: dict[str, PoolFinding]
) -> tuple[Also, ...]:
    """What is forbidden and that no ask's verdict rests on."""
    told = {name for ask in asks.values() for name in (*ask.verdict.because, *ask.verdict.wrong)}
    told |= {one for ask in case.asks.values() for one in ask.about}
    found: list[Also] = []
    for name, act in acts.items():
        if act.outcome == "forbidden" and name not in told and case.acts[name].standing in JUDGED:
            found.append(Also(name, AskVerdict("forbidden", callable="no", broken_at=act.broken_at, because=(name,)), act.judged))
    for name, place in places.items():
        if place.outcome == "forbidden" and name not in {one for ask in case.asks.values() for one in ask.about}:
            found.append(Also(name, AskVerdict("forbidden", callable="no", max_irql="APC_LEVEL", because=(name,)), place.judged))
    for name, pool in pools.items():
        if pool.wrong and name not in told:
            found.append(Also(name, AskVerdict("forbidden", pool=pool.pool, broken_at=pool.broken_at, because=(name,)), pool.judged))
    return tuple(found)
