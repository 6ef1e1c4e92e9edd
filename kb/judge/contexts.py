"""A Case's places in, the contexts out in which their code can run: facts, stated levels, locks, what comes down from callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from kb.case import JUDGED, Case, Fact, Place, known, words_of
from kb.engine import Knowledge, Value
from kb.judge.records import Context

MAX_CALLERS = 12  # contexts of one place kept apart; more callers than this are of no team's helper
NOWHERE = Context({}, ())


class Situation:
    """The places of a Case, each with its contexts, worked out once."""

    def __init__(self, case: Case, knowledge: Knowledge) -> None:
        """Look at *case* with the names that *knowledge* has."""
        self.case, self.knowledge = case, knowledge
        self._contexts: dict[str, tuple[Context, ...]] = {}

    @cached_property
    def environment(self) -> dict[str, Value]:
        """Facts that hold everywhere: driver model, architecture, the oldest Windows."""
        facts: dict[str, Value] = {}
        for name, value in self.case.environment.items():
            term = self.knowledge.terms.facts.get(name)
            given = value if isinstance(value, (list, tuple)) else (value,)
            texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in given if not isinstance(one, dict)]
            if term is None or not texts:
                continue
            right = [text for text in texts if not term.values or text in term.values]
            if right:
                facts[name] = min(right, key=list(term.values).index) if term.ordered else right[0]
        return facts

    def contexts(self, ident: str | None) -> tuple[Context, ...]:
        """Every way in which the code of a place comes to run; one without a place when none is told."""
        if ident is None:
            return (Context(self.environment, ()),)
        if ident not in self._contexts:
            self._contexts[ident] = tuple(self._of_place(ident, ()))[:MAX_CALLERS]
        return self._contexts[ident]

    def _of_place(self, ident: str, inner: tuple[str, ...]) -> list[Context]:
        place = self.case.places[ident]
        callers = [name for name in place.called_from if name in self.case.places and name not in (*inner, ident)]
        above = [one for name in callers for one in self._of_place(name, (*inner, ident))]
        above = [one for one in above if self.case.places[one.path[0]].standing in JUDGED]
        own = self.own_facts(place)
        if not above:
            return [Context({**self.environment, **own}, (ident,), self.unknown_names(place, own), self.doubts(place))]
        return [self._under(place, ident, own, one) for one in above]

    def _under(self, place: Place, ident: str, own: Mapping[str, Value], caller: Context) -> Context:
        """A place's context when it is entered from a caller: level, locks and facts come down, its own facts win."""
        routine = self.knowledge.terms.row("routines", str(own.get("routine", "")))
        runs_as_called = routine is None or routine.more.get("level") == "caller"
        facts = dict(caller.facts)
        facts.pop("code.pageable", None)
        if not runs_as_called:
            facts = {name: value for name, value in facts.items() if name not in ("irql.lowest", "irql.highest", "routine")}
        facts |= {name: value for name, value in own.items() if name != "lock" and not (runs_as_called and name == "routine")}
        held = (*locks_in(caller.facts), *locks_in(own))
        if held:
            facts["lock"] = tuple(sorted(set(held)))
        unknown = caller.unknown if runs_as_called else self.unknown_names(place, own)
        return Context(facts, (ident, *caller.path), unknown, tuple(dict.fromkeys((*caller.doubts, *self.doubts(place)))))

    def own_facts(self, place: Place) -> dict[str, Value]:
        """What is told of a place itself, as the engine's facts."""
        facts = facts_of(place.facts)
        name = known(place.routine)
        if self.is_routine(name):
            facts["routine"] = name
        elif place.linux is not None and (counterpart := self.counterpart(known(place.linux))):
            facts["routine"] = counterpart
        if place.irql is not None and place.irql.standing in JUDGED:
            facts |= {f"irql.{end}": value for end in ("lowest", "highest") if (value := getattr(place.irql, end))}
            if "irql.highest" in facts:
                facts.setdefault("irql.lowest", "PASSIVE_LEVEL")
        held = [lock for one in place.held if one.standing in JUDGED and (lock := self.lock_of(known(one.lock)))]
        if held:
            facts["lock"] = tuple(sorted(set(held)))
        return facts

    def lock_of(self, name: str) -> str:
        """The row of a lock that is named by its row, or by its block where two of a kind matter; empty for none."""
        if self.knowledge.terms.row("locks", name) is not None:
            return name
        taken = [known(act.lock) for act in self.case.acts.values() if act.block == name and act.act == "acquire"]
        return taken[0] if taken and self.knowledge.terms.row("locks", taken[0]) is not None else ""

    def doubts(self, place: Place) -> tuple[str, ...]:
        """What is told of a place that no table knows: locks held there, and facts."""
        locks = [words_of(one.lock) for one in place.held if one.standing in JUDGED and not self.lock_of(known(one.lock))]
        return (*(f"whether `{name}` raises the IRQL" for name in locks), *strange_facts(place.facts, self.knowledge))

    def is_routine(self, name: str) -> bool:
        """Whether a routine's level is documented, by a row or by the page of a callback."""
        if not name:
            return False
        if self.knowledge.terms.row("routines", name) is not None:
            return True
        ddi = self.knowledge.ddis.find(name)
        return ddi is not None and ddi.role == "implemented_by_driver" and ddi.max is not None

    def counterpart(self, linux: str) -> str:
        """The Windows routine that stands for a Linux context; empty when its row names none."""
        row = self.knowledge.terms.row("linux", linux)
        routine = str(row.more.get("routine") or "") if row is not None else ""
        return routine if self.is_routine(routine) else ""

    def unknown_names(self, place: Place, own: Mapping[str, Value]) -> tuple[str, ...]:
        """The name of a routine that no table knows, where nothing else tells the level."""
        if place.routine is None or "routine" in own or "irql.highest" in own:
            return ()
        return (words_of(place.routine),)


def facts_of(told: Mapping[str, Fact]) -> dict[str, Value]:
    """Facts of a place, act or block that the engine may use: stated, proposed or possible."""
    return {name: fact.text for name, fact in told.items() if fact.standing in JUDGED and plain(fact.value)}


def strange_facts(told: Mapping[str, Fact], knowledge: Knowledge) -> list[str]:
    """The facts that no table has, in words; an argument written as `arg.Name` is none of them."""
    facts = knowledge.terms.facts
    return [f"what follows from `{name}` = {fact.text}" for name, fact in told.items() if name not in facts and not name.startswith("arg.")]


def plain(value: Any) -> bool:
    """Whether a fact's value is one word or number rather than a structure."""
    return isinstance(value, (str, bool, int, float))


def locks_in(facts: Mapping[str, Value]) -> Sequence[str]:
    """The locks that a context holds."""
    held = facts.get("lock", ())
    return (held,) if isinstance(held, str) else held
