"""All uses of a question in, its verdict out; where a fact is missing, with what holds in each case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kb.engine.knowledge import Knowledge
from kb.engine.records import Branch, Facts, Verdict
from kb.engine.verdict import weigh

# What the chat offers when the IRQL itself is unknown: the two sides of the line that decides nearly everything.
IRQL_CHOICES = {"<= APC_LEVEL": ("PASSIVE_LEVEL", "APC_LEVEL"), "DISPATCH_LEVEL": ("DISPATCH_LEVEL", "DISPATCH_LEVEL")}


def decide(uses: Sequence[Facts], knowledge: Knowledge, proposed: str = "", explore: bool = True) -> Verdict:
    """
    Judge everything a question does, over all uses, the worst case deciding.

    Args:
        uses: Facts of each use.
        knowledge: Rules and tables.
        proposed: The pool that the question proposes (`paged`, `nonpaged`), empty when it proposes none.
        explore: Whether to try each value of an unknown fact, for branches.

    Returns:
        The verdict. When undetermined, `unknown` names what would settle it and `branches` what holds in each case.
    """
    verdict = weigh(uses, knowledge, proposed)
    return with_branches(verdict, uses, knowledge, proposed) if explore and verdict.unknown else verdict


def with_branches(verdict: Verdict, uses: Sequence[Facts], knowledge: Knowledge, proposed: str) -> Verdict:
    """
    Try each value of the first unknown fact that makes a difference.

    Args:
        verdict: Undetermined.
        uses: The question's uses.
        knowledge: Rules and tables.
        proposed: As in `decide`.

    Returns:
        The verdict with `branches`, its `unknown` led by the fact tried; when every value gives the same firm verdict, that verdict.
    """
    for name in verdict.unknown:
        irql = name.startswith("irql.")
        fact = knowledge.terms.facts.get(name)
        values = list(IRQL_CHOICES) if irql else list(fact.values) if fact else []
        if not 2 <= len(values) <= 8:
            continue
        tried = []
        for value in values:
            given = []
            for use in uses:
                if irql and not ({"irql.highest", "irql.lowest"} & set(use)):
                    given.append({**use, "irql.lowest": IRQL_CHOICES[value][0], "irql.highest": IRQL_CHOICES[value][1]})
                elif not irql and name not in use:
                    given.append({**use, name: value})
                else:
                    given.append(dict(use))
            tried.append((value, weigh(given, knowledge, proposed)))
        outcomes = {(one.pool, one.callable, one.outcome) for _, one in tried}
        if len(outcomes) == 1:
            if tried[0][1].outcome in ("allowed", "forbidden") and not irql:
                return replace(tried[0][1], assumed=verdict.assumed)
            continue
        branches = tuple(Branch("irql" if irql else name, value, one.pool, one.callable, one.outcome) for value, one in tried)
        others = tuple(other for other in verdict.unknown if other != name)
        return replace(verdict, branches=branches, unknown=(name, *others))
    return verdict
