"""Uses in, judgements out, each made once for a Case."""

from __future__ import annotations

from dataclasses import replace

from kb.engine import Facts, Judgement, Knowledge, judge, with_pool
from kb.judge.uses import POOLS, Use


class Bench:
    """Judges uses and remembers them: many acts of a Case state the same facts."""

    def __init__(self, knowledge: Knowledge) -> None:
        """Judge with *knowledge*."""
        self.knowledge = knowledge
        self._made: dict[frozenset[tuple[str, object]], Judgement] = {}

    def judge(self, facts: Facts) -> Judgement:
        """The engine's judgement of a use."""
        key = frozenset(facts.items())
        if key not in self._made:
            self._made[key] = judge(facts, self.knowledge)
        return self._made[key]

    def in_pool(self, facts: Facts, pool: str) -> Judgement:
        """The judgement of a use as if its memory came from *pool*."""
        return self.judge(with_pool(facts, pool))

    def use(self, use: Use) -> Judgement:
        """
        The judgement of a use; where its memory's pool matters and nobody tells it, of both pools together.

        Returns:
            The joint judgement of both pools when they agree; else undetermined, waiting for `memory.pool`.
        """
        if use.part != "memory" or "memory.pool" in use.facts or use.facts.get("memory.place", "pool") != "pool":
            return self.judge(use.facts)
        paged, nonpaged = (self.in_pool(use.facts, pool) for pool in POOLS)
        if paged.outcome == nonpaged.outcome:
            return paged
        waiting = ("memory.pool",) if "undetermined" not in (paged.outcome, nonpaged.outcome) else ()
        unknown = tuple(dict.fromkeys((*waiting, *paged.unknown, *nonpaged.unknown)))
        return replace(paged, outcome="undetermined", unknown=unknown or ("memory.pool",))

    def at_lowest(self, use: Use, judgement: Judgement) -> Judgement:
        """The judgement at the lowest level alone that the place can have."""
        lowest = judgement.lowest
        if lowest is None or lowest == judgement.highest:
            return judgement
        return self.use(Use({**use.facts, "irql.lowest": lowest, "irql.highest": lowest}, use.part))
