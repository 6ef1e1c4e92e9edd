"""Knowledge in, every distinct profile of a one-use question out: rows that the engine cannot tell apart stand for each other."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from kb.ddis import Ddi
from kb.engine import Facts, Knowledge, Place, Value, since_of
from kb.terms import LEVELS, Row

Use = dict[str, Value]

LEVEL_PAIRS = tuple((low, high) for at, low in enumerate(LEVELS) for high in LEVELS[at:])
"""The 15 ranges of IRQL."""


def ways_of_stating() -> list[Use]:
    """Every way of stating an IRQL: not at all, from below, from above, as a range."""
    lowest: list[Use] = [{"irql.lowest": low} for low in LEVELS]
    highest: list[Use] = [{"irql.highest": high} for high in LEVELS]
    ranges: list[Use] = [{"irql.lowest": low, "irql.highest": high} for low, high in LEVEL_PAIRS]
    return [{}, *lowest, *highest, *ranges]


STATED = tuple(ways_of_stating())
ROWS = ("routine", "lock", "acquired", "object", "allocator", "ddi")
"""Facts whose values are rows of a table."""
MEMORY_FACTS = ("memory.pool", "memory.place", "memory.locked", "wait.mode")
"""What the rules conclude residency from; `test_prove` compares it with the rules."""


class Where(NamedTuple):
    """What the engine works out of the place where something is done."""

    lowest: str | None
    highest: str | None
    apcs: str | None
    waiting: tuple[str, ...]
    """Facts on which the level waits."""
    contradicted: bool
    bounded: bool
    """Whether the range is only what a held lock admits."""


def where(use: Facts, knowledge: Knowledge) -> Where:
    """
    Let the engine settle the IRQL of one use.

    Args:
        use: Facts of the use.
        knowledge: The tables.

    Returns:
        The range, the state of APCs, what the range waits for, whether a stated level was overridden, and whether a lock only bounds it.
    """
    facts = dict(use)
    place = Place(facts, knowledge)
    place.settle()
    apcs = facts.get("apcs")
    return Where(place.lowest, place.highest, str(apcs) if apcs else None, place.unknown, bool(place.contradictions), place.bounded)


def sign(value: object) -> str:
    """A value as a text that is equal for equal values."""
    return json.dumps(value, sort_keys=True, default=str)


def first_of(rows: Iterable[Row], signature: Callable[[Row], object]) -> dict[str, list[Row]]:
    """Rows by what the engine reads of them; rows of one class stand for each other."""
    classes: dict[str, list[Row]] = {}
    for row in rows:
        classes.setdefault(sign(signature(row)), []).append(row)
    return classes


def named_in_rules(knowledge: Knowledge, fact: str) -> dict[str, tuple[str, ...]]:
    """Each value of a fact that a rule names, with the rules that name it."""
    found: dict[str, list[str]] = {}
    for rule in knowledge.rules:
        for test in rule.when:
            if test.fact == fact:
                for value in test.values:
                    found.setdefault(value, []).append(rule.id)
    return {value: tuple(rules) for value, rules in found.items()}


def routine_classes(knowledge: Knowledge) -> dict[str, list[Row]]:
    """Routines by range, cases and assumptions: all the engine reads of them."""
    named = named_in_rules(knowledge, "routine")
    return first_of(
        knowledge.terms.tables["routines"].values(),
        lambda row: [row.more.get("irql"), [[case["when"], case.get("irql")] for case in row.more.get("cases") or ()], row.more.get("assume"), named.get(row.id)],
    )


def lock_classes(knowledge: Knowledge) -> dict[str, list[Row]]:
    """Locks by what holding and acquiring them does, and by the rules that name them."""
    held, acquired = named_in_rules(knowledge, "lock"), named_in_rules(knowledge, "acquired")
    return first_of(
        knowledge.terms.tables["locks"].values(),
        lambda row: [
            row.more.get("held"),
            row.more.get("requires"),
            row.more.get("apcs"),
            [[case["when"], "held" in case, case.get("held"), case.get("requires")] for case in row.more.get("cases") or ()],
            held.get(row.id),
            acquired.get(row.id),
        ],
    )


def object_classes(knowledge: Knowledge) -> dict[str, list[Row]]:
    """Objects by storage and cases."""
    return first_of(
        knowledge.terms.tables["objects"].values(),
        lambda row: [row.more.get("storage"), [[case["when"], case.get("allowed")] for case in row.more.get("cases") or ()]],
    )


def ddi_classes(knowledge: Knowledge) -> dict[str, list[Ddi]]:
    """Documented routines by their distinct rows of limits, by the version they appeared in, and by the rules that name them."""
    named = named_in_rules(knowledge, "ddi")
    classes: dict[str, list[Ddi]] = {}
    for name in knowledge.ddis.names():
        ddi = knowledge.ddis.find(name)
        if ddi is not None:
            rows = [[dict(row.when), row.condition, row.min, row.max, row.source] for row in ddi.rows]
            distinct = [row for number, row in enumerate(rows) if row not in rows[:number]]
            classes.setdefault(sign([distinct, since_of(ddi.since), named.get(ddi.name)]), []).append(ddi)
    return classes


def case_facts(rows: Iterable[Row | None]) -> list[str]:
    """The facts that choose among the cases of these rows."""
    return sorted({name for row in rows if row is not None for case in row.more.get("cases") or () for name in case["when"]})


def values_of(knowledge: Knowledge, fact: str) -> list[str]:
    """The values of a fact that has a closed list of them."""
    return list(knowledge.terms.facts[fact].values)


def stated_or_not(knowledge: Knowledge, facts: Sequence[str]) -> Iterator[Use]:
    """Every combination of values of these facts, each fact also left out."""
    for values in itertools.product(*([None, *values_of(knowledge, fact)] for fact in facts)):
        yield {fact: value for fact, value in zip(facts, values, strict=True) if value is not None}


def held_sets(knowledge: Knowledge) -> Iterator[tuple[Row, ...]]:
    """No lock, one, and two: one representative a class, and a class twice where it has two members."""
    classes = list(lock_classes(knowledge).values())
    yield ()
    for rows in classes:
        yield (rows[0],)
    for one, other in itertools.combinations(classes, 2):
        yield (one[0], other[0])
    for rows in classes:
        if len(rows) > 1:
            yield (rows[0], rows[1])


def places(knowledge: Knowledge) -> Iterator[tuple[Row | None, tuple[Row, ...], Use]]:
    """
    Every distinct place: a routine or none, up to two locks held, and the facts that choose among their cases.

    Args:
        knowledge: The tables.

    Yields:
        The routine's row, the locks' rows, and the use without a stated level, to be joined with each of `STATED`.
    """
    routines: list[Row | None] = [None, *(rows[0] for rows in routine_classes(knowledge).values())]
    for routine in routines:
        for locks in held_sets(knowledge):
            for facts in stated_or_not(knowledge, case_facts([routine, *locks])):
                use: Use = dict(facts)
                if routine is not None:
                    use["routine"] = routine.id
                if locks:
                    use["lock"] = tuple(row.id for row in locks)
                yield routine, locks, use


def relevant(knowledge: Knowledge, act: str) -> list[str]:
    """
    The facts that can matter to an act: what its verdict rules test, and what the rules test that conclude those.

    Args:
        knowledge: The rules.
        act: A value of the fact `act`.

    Returns:
        Names in order, without `act`.
    """
    wanted: set[str] = set()
    for rule in knowledge.rules:
        acts = next((test.values for test in rule.when if test.fact == "act"), ())
        if rule.verdict and act in acts:
            wanted |= {name for test in rule.when for name in (test.fact, test.against) if name in knowledge.terms.facts}
    growing = True
    while growing:
        growing = False
        for rule in knowledge.rules:
            tested = {name for test in rule.when for name in (test.fact, test.against) if name in knowledge.terms.facts}
            if not rule.verdict and set(rule.then) & wanted and not tested <= wanted:
                wanted |= tested
                growing = True
    return sorted(wanted - {"act"})


def waiting_places(knowledge: Knowledge) -> list[Use]:
    """One representative of each way in which a level waits for another fact, and of each range that a lock only admits."""
    found: dict[tuple[str | None, ...], Use] = {}
    for _, _, use in places(knowledge):
        if len(use) <= 1:
            out = where(use, knowledge)
            if out.waiting:
                found.setdefault(out.waiting, use)
            elif out.bounded:
                found.setdefault(("bounded", out.lowest, out.highest, out.apcs), use)
    return list(found.values())


def routines_for(knowledge: Knowledge, act: str) -> list[str]:
    """The routines named by the rules that judge an act, or that conclude what those test."""
    wanted = set(relevant(knowledge, act))
    found: dict[str, None] = {}
    for rule in knowledge.rules:
        acts = next((test.values for test in rule.when if test.fact == "act"), ())
        if act in acts if rule.verdict else set(rule.then) & wanted:
            found |= {value: None for test in rule.when if test.fact == "routine" for value in test.values}
    return list(found)


def spots(knowledge: Knowledge, act: str) -> list[Use]:
    """Every distinct outcome of a place as the shortest use that has it: the stated levels, the waiting places, and the routines that rules name."""
    found: list[Use] = [*STATED, *waiting_places(knowledge)]
    if "routine" in relevant(knowledge, act):
        found += [{"routine": name, **stated} for name in routines_for(knowledge, act) for stated in STATED]
    return found


def residencies(knowledge: Knowledge) -> Iterator[Use]:
    """Every combination of what the rules conclude residency from."""
    yield from stated_or_not(knowledge, MEMORY_FACTS)


def memory_profiles(knowledge: Knowledge, act: str) -> Iterator[Use]:
    """Profiles of allocate, touch, free, run and wait: every spot with every combination of the facts that matter."""
    facts = [name for name in relevant(knowledge, act) if not name.startswith("irql.") and name not in ROWS]
    if act == "touch":  # residency is a profile of its own: pool, place, locking and wait mode matter through it alone
        facts = [name for name in facts if name not in MEMORY_FACTS]
    for spot in spots(knowledge, act):
        for rest in stated_or_not(knowledge, facts):
            yield {"act": act, **spot, **rest}


def storage_profiles(knowledge: Knowledge) -> Iterator[Use]:
    """Profiles of store: every class of objects in every kind of memory, with the facts that choose among cases."""
    classes: list[Row | None] = [None, *(rows[0] for rows in object_classes(knowledge).values())]
    for row in classes:
        facts = sorted({*MEMORY_FACTS, *case_facts([row])})
        for rest in stated_or_not(knowledge, facts):
            yield {"act": "store", **({"object": row.id} if row is not None else {}), **rest}


def acquire_profiles(knowledge: Knowledge) -> Iterator[Use]:
    """Profiles of acquire: every class of locks at every spot, with every state of APCs and the facts of its cases."""
    everywhere = spots(knowledge, "acquire")
    for rows in lock_classes(knowledge).values():
        for spot in everywhere:
            for rest in stated_or_not(knowledge, sorted({"apcs", *case_facts([rows[0]])})):
                yield {"act": "acquire", "acquired": rows[0].id, **spot, **rest}


def rule_facts(knowledge: Knowledge, fact: str, value: str) -> set[str]:
    """The facts, other than levels and rows, that the rules test which name this value of this fact."""
    named = [rule for rule in knowledge.rules if any(test.fact == fact and value in test.values for test in rule.when)]
    return {test.fact for rule in named for test in rule.when if test.fact not in ROWS and test.fact != "act" and test.fact.partition(".")[0] not in ("irql", "limit")}


def call_profiles(knowledge: Knowledge) -> Iterator[Use]:
    """Profiles of call: every class of documented routines at every spot, with the facts of its rows, its conditions, and the versions around its first."""
    locks, named = named_in_rules(knowledge, "lock"), named_in_rules(knowledge, "ddi")
    versions = values_of(knowledge, "windows")
    everywhere = spots(knowledge, "call")
    plain = [spot for spot in everywhere if "routine" not in spot or spot["routine"] not in routines_for(knowledge, "call")]
    for ddis in ddi_classes(knowledge).values():
        ddi = ddis[0]
        facts = sorted({name for row in ddi.rows for name in row.when} | rule_facts(knowledge, "ddi", ddi.name))
        conditions: list[str | None] = [None, *dict.fromkeys(row.condition for row in ddi.rows if row.condition and not row.when)]
        since = since_of(ddi.since)
        windows = [None, since, *versions[max(0, versions.index(since) - 1) : versions.index(since)]] if since in versions else [None]
        held: list[Use] = [{}]
        if ddi.name in named:
            held += [{"lock": (lock,)} for lock in (*locks, "fast-mutex")]
        for spot in everywhere if ddi.name in named else plain:
            for rest in stated_or_not(knowledge, facts):
                for condition, version, lock in itertools.product(conditions, windows, held[:1] if "lock" in spot else held):
                    more = {name: value for name, value in (("condition", condition), ("windows", version)) if value is not None}
                    yield {"act": "call", "ddi": ddi.name, **spot, **rest, **more, **lock}


def profiles(knowledge: Knowledge) -> Iterator[Use]:
    """Every distinct profile of one act, in a fixed order."""
    for act in ("allocate", "touch", "free", "run", "wait"):
        yield from memory_profiles(knowledge, act)
    yield from storage_profiles(knowledge)
    yield from acquire_profiles(knowledge)
    yield from call_profiles(knowledge)


def canonical(use: Facts, knowledge: Knowledge) -> Use:
    """
    The profile of a literal question.

    Args:
        use: Any one-use question: with any routine, locks, object, routine called and facts.
        knowledge: The tables.

    Returns:
        The facts that remain when the place is replaced by its range and all that cannot matter is dropped.
    """
    act = str(use["act"])
    out = where(use, knowledge)
    kept: Use = {"act": act}
    names = set(relevant(knowledge, act))
    if act == "store":
        row = knowledge.terms.row("objects", str(use.get("object", "")))
        names |= {"object", *case_facts([row])}
    if act == "acquire":
        row = knowledge.terms.row("locks", str(use.get("acquired", "")))
        names |= {"acquired", *case_facts([row])}
    if act == "call":
        ddi = knowledge.ddis.find(str(use.get("ddi", "")))
        names |= {"ddi", "condition", "windows", *(name for line in (ddi.rows if ddi else ()) for name in line.when)}
        if ddi is None or ddi.name not in named_in_rules(knowledge, "ddi"):
            names -= {"lock", "routine", "apcs"}
    names = {name for name in names if not name.startswith("irql.")}
    if "memory.resident" in names:
        names |= set(MEMORY_FACTS)
    kept |= {name: use[name] for name in names - {"lock", "routine"} if name in use}
    held = use.get("lock") or ()
    literal = "routine" in names and use.get("routine") in routines_for(knowledge, act)
    literal = literal or "lock" in names and bool(set(held) & set(named_in_rules(knowledge, "lock")))
    if out.waiting or out.bounded or literal:  # the place itself matters, not only its range
        kept |= {name: use[name] for name in ("routine", "lock", "irql.lowest", "irql.highest", *case_facts(rows_of(use, knowledge))) if name in use}
        return kept
    if "apcs" in names and out.apcs is not None:
        kept["apcs"] = out.apcs
    if out.lowest is not None:
        kept["irql.lowest"] = out.lowest
    if out.highest is not None:
        kept["irql.highest"] = out.highest
    return kept


def rows_of(use: Facts, knowledge: Knowledge) -> list[Row | None]:
    """The rows of the routine and the locks of a use."""
    held = use.get("lock") or ()
    names = held if isinstance(held, tuple) else (held,)
    return [knowledge.terms.row("routines", str(use.get("routine", ""))), *(knowledge.terms.row("locks", name) for name in names)]


def literal_count(knowledge: Knowledge) -> int:
    """Points of the literal product: act, routine, stated level, up to two locks, pool, place, object, and every flag."""
    locks = len(knowledge.terms.tables["locks"])
    flags = (
        "memory.pool",
        "memory.place",
        "memory.locked",
        "io.paging",
        "windows",
        "code.pageable",
        "wait.timeout",
        "wait.mode",
        "execution.level",
        "caller",
        "operation.synchronized",
    )
    count = len(values_of(knowledge, "act")) * (1 + len(knowledge.terms.tables["routines"])) * len(STATED) * (1 + locks + locks * (locks - 1) // 2)
    count *= 1 + len(knowledge.terms.tables["objects"])
    for name in flags:
        count *= 1 + len(values_of(knowledge, name))
    return count
