"""Routine, locks and what is stated in, the IRQL range of one use out."""

from __future__ import annotations

from collections.abc import Mapping

from kb.engine.knowledge import Knowledge
from kb.engine.records import LEVEL_FACTS, Contradiction, Facts, Judgement, Step, Value
from kb.engine.truth import holds
from kb.engine.words import ddi_citations, span, titled
from kb.terms import Citation, Row, rank, text_of

APC_STATES = ("enabled", "normal_disabled", "all_disabled")  # weakest first


class Place:
    """Works out the IRQL range of one use from its routine, its locks and what is stated."""

    def __init__(self, facts: dict[str, Value], knowledge: Knowledge) -> None:
        """Start from the use's facts, which are extended in place."""
        self.facts = facts
        self.knowledge = knowledge
        self.steps: list[Step] = []
        self.contradictions: list[Contradiction] = []
        self.assumed: dict[str, str] = {}
        self.unknown: tuple[str, ...] = ()
        self.open_to: str | None = None
        """The highest level that the routine may run at, while its case is unknown."""
        self.lowest: str | None = None
        self.highest: str | None = None
        self.bounded = False
        """Whether the range is only what a held lock admits: the level itself is not known."""

    def settle(self) -> None:
        """Combine routine, stated level and locks; put `irql.lowest` and `irql.highest` into the facts when known."""
        self._hold_what_is_released()
        self._from_routine()
        self._from_claim()
        self._from_statement()
        self._from_locks()
        self._from_lock_claim()
        for name, value in (("irql.lowest", self.lowest), ("irql.highest", self.highest)):
            if value is not None:
                self.facts[name] = value
            else:
                self.facts.pop(name, None)

    def _hold_what_is_released(self) -> None:
        """A call that releases a lock is made while it is held."""
        released = lock_released(self.facts, self.knowledge)
        if released:
            held = self.facts.get("lock")
            self.facts["lock"] = tuple(sorted({*(held if isinstance(held, tuple) else (str(held),) if held else ()), released}))

    def _from_routine(self) -> None:
        name = self.facts.get("routine")
        if not isinstance(name, str):
            return
        row = self.knowledge.terms.row("routines", name)
        if row is not None:
            self._from_row(row)
            return
        callback = self.knowledge.ddis.find(name)
        if callback is None or callback.min is None or callback.max is None:
            return
        self.lowest, self.highest = callback.min, callback.max
        self.steps.append(
            Step(
                f"ddi/{callback.name}",
                f"`{callback.name}` is documented to run at {span(callback.min, callback.max)}.",
                ("routine",),
                ddi_citations(callback, callback.rows),
                LEVEL_FACTS,
            )
        )

    def _from_row(self, row: Row) -> None:
        ranges = row.more.get("irql") or {}
        lowest, highest = ranges.get("lowest"), ranges.get("highest")
        citations, note = row.citations, row.note
        premises: tuple[str, ...] = ("routine",)
        waiting: list[str] = []
        for case in row.more.get("cases") or ():
            truth, missing = holds(case["when"], self.facts)
            if truth == "unknown":
                unsure = self.facts.get("unsure") or ()
                defaults = {text_of(key): text_of(value) for key, value in (row.more.get("assume") or {}).items() if key not in unsure}
                if all(fact in defaults for fact in missing):
                    trial = {**self.facts, **{fact: defaults[fact] for fact in missing}}
                    truth, missing = holds(case["when"], trial)
                    for fact in case["when"]:
                        if fact in defaults and fact not in self.facts:
                            self.assumed[fact] = defaults[fact]
            if truth == "unknown":
                waiting += missing
            elif truth == "true" and case.get("irql"):
                lowest, highest = case["irql"]["lowest"], case["irql"]["highest"]
                note = " ".join(str(case.get("note") or row.note).split())
                own = tuple(Citation.read(entry, row.id) for entry in case.get("citations") or ())
                citations = (*own, *row.citations)
                premises = ("routine", *case["when"])
                waiting = []
                break
        if waiting and "irql.highest" not in self.facts:
            self.unknown = tuple(dict.fromkeys(waiting))
            self.open_to = ranges.get("highest")
            self.steps.append(Step(f"routines/{row.id}", titled(row, note), premises, citations, LEVEL_FACTS))
            return
        self.lowest, self.highest = lowest, highest
        self.steps.append(Step(f"routines/{row.id}", titled(row, note), premises, citations, LEVEL_FACTS))

    def _from_claim(self) -> None:
        """Compare what the question says of the routine ("it always runs at PASSIVE_LEVEL") with what is documented of it."""
        low, high = self.facts.pop("claim.lowest", None), self.facts.pop("claim.highest", None)
        if not isinstance(low, str) or not isinstance(high, str):
            return
        if self.lowest is None or self.highest is None:
            if not self.unknown and "irql.highest" not in self.facts:
                self.lowest, self.highest = low, high
            return
        row = self.knowledge.terms.row("routines", str(self.facts.get("routine", "")))
        if row is not None and row.more.get("level") == "caller" and rank(self.lowest) <= rank(low) and rank(high) <= rank(self.highest):
            self.lowest, self.highest = low, high  # it runs at its caller's level, which the question knows
            return
        if rank(self.highest) > rank(high) or rank(self.lowest) < rank(low):
            self.contradictions.append(overridden(span(low, high), span(self.lowest, self.highest), self.steps[-1]))

    def _from_lock_claim(self) -> None:
        """Compare what the question says of a lock ("a fast mutex raises to DISPATCH_LEVEL") with what is documented of it."""
        low, high = self.facts.pop("lock.claim.lowest", None), self.facts.pop("lock.claim.highest", None)
        if not isinstance(low, str) or not isinstance(high, str) or self.lowest is None or self.highest is None or not self.steps:
            return
        if (low, high) != (self.lowest, self.highest):
            self.contradictions.append(overridden(span(low, high), span(self.lowest, self.highest), self.steps[-1]))

    def _from_statement(self) -> None:
        lowest, highest, apart = self.facts.get("irql.lowest"), self.facts.get("irql.highest"), self.facts.pop("irql.apart", None)
        if not isinstance(highest, str) and not isinstance(lowest, str):
            return
        low = lowest if isinstance(lowest, str) else "PASSIVE_LEVEL"
        high = highest if isinstance(highest, str) else None
        if self.lowest is None or self.highest is None:
            if high is None:
                self.lowest, self.highest = low, None
            else:
                self.lowest, self.highest = low, high
            return
        high = high or self.highest
        joint_low, joint_high = highest_of(low, self.lowest), lowest_of(high, self.highest)
        if rank(joint_low) > rank(joint_high):
            if not self.steps:  # a claim alone: what is stated of the place itself outranks it
                self.lowest, self.highest = low, highest if isinstance(highest, str) else None
                return
            if rank(low) > rank(self.highest) and not apart:  # code can raise its level above the one its routine is called at
                self.lowest, self.highest = low, high
                return
            self.contradictions.append(overridden(span(low, high), span(self.lowest, self.highest), self.steps[-1]))
            return
        self.lowest, self.highest = joint_low, joint_high

    def _from_locks(self) -> None:
        """Raise the range to what every held lock forces, whatever their order; a level that still depends on a fact stays unknown."""
        held = self.facts.get("lock")
        rows = [self.knowledge.terms.row("locks", name) for name in sorted(held if isinstance(held, tuple) else (held,) if held else ())]
        known = self.highest is not None
        forced: list[tuple[str, str]] = []
        bounds: list[tuple[str, str]] = []
        waiting: list[str] = []
        open_to = [self.open_to] if self.open_to else []
        states: list[str] = []
        for row in rows:
            if row is None:
                continue
            raised, missing = held_range(row, self.facts)
            requires = row.more.get("requires")
            if missing and not known:
                waiting += missing
                open_to += [raised["highest"]] if raised else []
            elif raised:
                low, high = raised["lowest"], raised["highest"]
                forced.append((low, high))
                if self.lowest is not None and self.highest is not None and rank(self.highest) < rank(low) and "irql.highest" in self.facts:
                    self.contradictions.append(
                        Contradiction(
                            "irql",
                            span(self.lowest, self.highest),
                            span(low, high),
                            f"locks/{row.id}",
                            f"Not {span(self.lowest, self.highest)}: while {row.title} is held, it is {span(low, high)}.",
                            row.citations,
                        )
                    )
            elif requires and rank(requires["highest"]) <= rank("APC_LEVEL"):
                bounds.append((requires["lowest"], requires["highest"]))
            elif not known:
                continue
            states.append(str(row.more.get("apcs") or "enabled"))
            self.steps.append(Step(f"locks/{row.id}", titled(row), ("lock",), row.citations, (*LEVEL_FACTS, "apcs")))
        strongest = max(states, key=APC_STATES.index, default="enabled")
        if strongest != "enabled":
            self.facts["apcs"] = strongest
        if forced:
            low = max((low for low, _ in forced), key=rank)
            high = max((high for _, high in forced), key=rank)
            if known or all(rank(high) >= rank(level) for level in open_to):
                self.lowest = highest_of(low, self.lowest or "PASSIVE_LEVEL")
                self.highest = highest_of(highest_of(high, self.highest or "PASSIVE_LEVEL"), self.lowest)
                self.unknown = ()
                return
        if waiting:
            self.unknown = tuple(dict.fromkeys((*self.unknown, *waiting)))
        elif bounds and not known and not self.unknown:
            low, high = max((low for low, _ in bounds), key=rank), min((high for _, high in bounds), key=rank)
            if rank(self.lowest or "PASSIVE_LEVEL") <= rank(high):  # stated above what the lock admits, the level stays open upward
                self.lowest, self.highest = highest_of(low, self.lowest or "PASSIVE_LEVEL"), high
                self.bounded = self.lowest != self.highest


def lock_released(facts: Facts, knowledge: Knowledge) -> str:
    """
    The lock that a call releases, which is therefore held when it is made: `KeReleaseSpinLock` in a work item is called at `DISPATCH_LEVEL`.

    Args:
        facts: Of the use.
        knowledge: The locks.

    Returns:
        Its row; empty when the call releases no lock that raises the IRQL, or when the IRQL at the call is stated.
    """
    name = facts.get("ddi")
    if facts.get("act") != "call" or "routine" not in facts or "irql.highest" in facts or not isinstance(name, str):
        return ""
    for row in knowledge.terms.tables.get("locks", {}).values():
        held, requires = row.more.get("held"), row.more.get("requires")
        raises = held and not (requires and rank(requires["lowest"]) >= rank(held["lowest"]))  # not the FromDpcLevel forms: the code must be there already
        if raises and name in (row.more.get("free") or ()):
            return row.id
    return ""


def overridden(stated: str, documented: str, step: Step) -> Contradiction:
    """A stated range that the documented one of *step* overrides."""
    says = f"Not {stated}: documented is {documented}, and that is used here."
    return Contradiction("irql", stated, documented, step.rule, says, step.citations)


def held_range(row: Row, facts: Facts) -> tuple[Mapping[str, str] | None, tuple[str, ...]]:
    """
    The IRQL that a lock forces while it is held.

    Args:
        row: The lock.
        facts: What is known, which chooses among its cases.

    Returns:
        The range, None when it forces none; the facts that would choose, when a case that changes it is open.
    """
    missing: list[str] = []
    for case in row.more.get("cases") or ():
        truth, absent = holds(case["when"], facts)
        if truth == "true" and ("held" in case or "requires" in case):
            return case.get("held"), ()
        if truth == "unknown" and "held" in case:
            missing += absent
    return row.more.get("held"), tuple(missing)


def highest_of(one: str, other: str) -> str:
    """The higher of two levels."""
    return one if rank(one) >= rank(other) else other


def lowest_of(one: str, other: str) -> str:
    """The lower of two levels."""
    return one if rank(one) <= rank(other) else other


def place_of(use: Facts, knowledge: Knowledge) -> Judgement:
    """
    The IRQL range of a routine, without judging anything done there.

    Args:
        use: Facts with a `routine`, and those that choose among its cases.
        knowledge: The tables.

    Returns:
        A judgement with `lowest` and `highest`: of the case that holds, else of all cases together.
    """
    facts: dict[str, Value] = dict(use)
    place = Place(facts, knowledge)
    place.settle()
    lowest, highest = place.lowest, place.highest
    row = knowledge.terms.row("routines", str(facts.get("routine", "")))
    if highest is None and row is not None:
        levels = row.more.get("irql") or {}
        lowest, highest = levels.get("lowest"), levels.get("highest")
    return Judgement("none", tuple(place.steps), assumed=place.assumed, contradictions=tuple(place.contradictions), lowest=lowest, highest=highest, facts=facts)
