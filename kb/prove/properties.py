"""Profiles in, violations out: what must hold of the verdict on every one-use question."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kb.engine import Facts, Judgement, Knowledge, Value, decide, judge, limits_of, span, try_rule
from kb.prove.profiles import LEVEL_PAIRS, STATED, Use, Where, canonical, case_facts, places, profiles, residencies, stated_or_not, values_of, where
from kb.terms import Row, rank

MAX_SHOWN = 5  # violations of one property that are printed; all are counted


@dataclass
class Finding:
    """What one property came to."""

    name: str
    points: int = 0
    violations: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    """What was counted beside, such as overlapping rules."""

    def fail(self, use: Mapping[str, object], reason: str) -> None:
        """Record a violation on one profile."""
        self.violations.append(f"{self.name}: {dict(use)}: {reason}")

    def count(self, what: str, number: int = 1) -> None:
        """Count something that is no violation but is said aloud."""
        self.notes[what] = self.notes.get(what, 0) + number


def gist(judged: Judgement) -> tuple[object, ...]:
    """What makes two judgements the same verdict: everything but the order and choice of the steps shown."""
    faults = frozenset((fault.fact, fault.stated, fault.concluded) for fault in judged.contradictions)
    return judged.outcome, frozenset(judged.unknown), frozenset(judged.conditions), judged.lowest, judged.highest, faults


def reordered(knowledge: Knowledge, seed: int) -> list[Knowledge]:
    """The knowledge with its rules in other orders: reversed, and twice shuffled."""
    rules = list(knowledge.rules)
    orders = [rules[::-1]]
    for number in range(2):
        shuffled = list(rules)
        random.Random(seed + number).shuffle(shuffled)  # noqa: S311 - an order, not a secret
        orders.append(shuffled)
    return [knowledge._replace(rules=tuple(order)) for order in orders]


def renamed_locks(knowledge: Knowledge) -> tuple[Knowledge, dict[str, str]]:
    """The knowledge with its locks renamed so that their order by name is reversed; the level of a place reads no rule."""
    old = sorted(knowledge.terms.tables["locks"])
    names = {name: f"lock-{len(old) - number:03}" for number, name in enumerate(old)}
    locks = {names[name]: replace(row, id=names[name]) for name, row in knowledge.terms.tables["locks"].items()}
    terms = replace(knowledge.terms, tables={**knowledge.terms.tables, "locks": locks})
    return knowledge._replace(terms=terms), names


def conflicts(facts: Facts, knowledge: Knowledge) -> Iterator[tuple[str, str]]:
    """
    Pairs of rules that conclude different values of one fact from the same facts.

    Where there is none, conclusions only ever add facts, so that every order of the rules reaches the same facts. Where there is one,
    the stated facts cannot hold together; the engine then reports it and keeps the value that it would keep in every order.

    Args:
        facts: All facts of a judgement.
        knowledge: The rules.

    Yields:
        The fact, and the pair in words.
    """
    concluded: dict[str, tuple[str, str]] = {}
    for rule in knowledge.rules:
        if not rule.verdict and try_rule(rule, facts, knowledge.terms)[0] == "true":
            for name, value in rule.then.items():
                other = concluded.setdefault(name, (value, rule.id))
                if other[0] != value:
                    yield name, f"{other[1]} concludes {name} = {other[0]}, {rule.id} concludes {value}"


def truths(judged: Judgement, knowledge: Knowledge) -> Iterator[tuple[set[str], set[str], set[str]]]:
    """
    The verdict rules that forbid, allow and wait, under each limit that may apply.

    Args:
        judged: A judgement, whose facts are all stated, assumed and derived ones.
        knowledge: The rules and limits.

    Yields:
        Ids of the forbidding rules that fire, of the allowing ones that fire, and of the forbidding ones that wait for a fact.
    """
    limits: list[tuple[str, str, Any]] | list[None] = [None]
    if judged.facts.get("act") in ("call", "acquire"):
        pages, headers, _, _, _ = limits_of(judged.facts, knowledge)
        limits = [*pages, *headers] if pages else []
    for limit in limits:
        facts: dict[str, Value] = dict(judged.facts)
        if limit is not None:
            facts |= {"limit.lowest": limit[0], "limit.highest": limit[1]}
        sets: dict[tuple[str, str], set[str]] = {}
        for rule in knowledge.rules:
            if rule.verdict:
                sets.setdefault((rule.verdict, try_rule(rule, facts, knowledge.terms)[0]), set()).add(rule.id)
        yield sets.get(("forbidden", "true"), set()), sets.get(("allowed", "true"), set()), sets.get(("forbidden", "unknown"), set())


def check_order(use: Use, judged: Judgement, orders: Sequence[Knowledge], knowledge: Knowledge, found: Finding) -> None:
    """The same verdict whatever the order of rules and of facts."""
    found.points += 1
    for number, other in enumerate(orders):
        again = judge(dict(reversed(list(use.items()))) if number % 2 else use, other)
        if gist(again) != gist(judged):
            found.fail(use, f"{judged.outcome} waiting for {judged.unknown}, in another order {again.outcome} waiting for {again.unknown}")
            return
    for name, conflict in conflicts(judged.facts, knowledge):
        if name not in {fault.fact for fault in judged.contradictions}:
            found.fail(use, f"{conflict}, and no contradiction is reported")
        found.count("points whose facts cannot hold together; reported, and the cautious value used")


def check_exclusive(use: Use, judged: Judgement, knowledge: Knowledge, found: Finding) -> None:
    """Never both: allowed needs a rule that allows and none that forbids or might; a rule that forbids always decides."""
    found.points += 1
    every = list(truths(judged, knowledge))
    if judged.outcome == "allowed" and (not every or any(no or may or not yes for no, yes, may in every)):
        found.fail(use, f"allowed, while (forbidding, allowing, waiting) rules are {every}")
    if judged.outcome == "forbidden" and (not every or any(not no for no, _, _ in every)):
        found.fail(use, f"forbidden under a limit where no rule forbids: {every}")
    if judged.outcome == "undetermined" and every and all(no for no, _, _ in every):
        at = where(use, knowledge)
        if at.bounded and judge({**use, "irql.lowest": str(at.lowest), "irql.highest": str(at.lowest)}, knowledge).outcome != "forbidden":
            found.count("left open: a lock admits a level at which it would not be forbidden")
            return
        found.fail(use, f"undetermined, while rules forbid under every limit: {every}")
    for no, yes, _ in every:
        if no and yes:
            found.count("points where a rule forbids what another would allow; forbidden every time")
            break


def answers(name: str, use: Facts, knowledge: Knowledge) -> list[Use]:
    """The ways of stating an unknown fact: every value of it, or every range for an IRQL."""
    if name.startswith("irql."):
        if "irql.highest" in use:
            return []
        return [{"irql.lowest": low, "irql.highest": high} for low, high in LEVEL_PAIRS if use.get("irql.lowest") in (None, low)]
    return [{name: value} for value in values_of(knowledge, name)]


def check_settled(use: Use, judged: Judgement, knowledge: Knowledge, found: Finding, depth: int = 0) -> None:
    """An undetermined verdict names facts; stating one, whatever its value, settles it or leads to another fact, and that ends."""
    if not depth:
        found.points += 1
    if judged.outcome != "undetermined":
        found.count("settled leaves")
        return
    if not judged.unknown:
        if judged.conditions:
            words = [row.condition for row in judged.rows if row.condition and not row.when and row.condition != use.get("condition")]
            if "condition" not in use and words:
                for condition in words:
                    after = judge({**use, "condition": str(condition)}, knowledge)
                    if after.outcome == "undetermined" and not after.unknown and not after.conditions:
                        found.fail(use, f"the condition '{condition}' does not settle it")
                found.count("settled by a condition in words")
            else:
                found.count("left to the reader: page and header disagree")
        elif use.get("act") in ("call", "acquire") and not limits_of(judged.facts, knowledge)[0]:
            found.count("left open: the documentation states no IRQL")
        else:
            found.fail(use, "undetermined, but names no fact")
        return
    for name in judged.unknown[:1] if depth else judged.unknown:
        if name in use:
            found.fail(use, f"asks for {name}, which is stated")
            continue
        ways = answers(name, use, knowledge)
        if not ways:
            found.fail(use, f"asks for {name}, which has no values to choose from")
        for way in ways:
            given = {**use, **way}
            after = judge(given, knowledge)
            if after.outcome == "undetermined" and name in after.unknown:
                found.fail(given, f"asks for {name} again")
            elif depth > 8:
                found.fail(given, "does not end")
            else:
                check_settled(given, after, knowledge, found, depth + 1)


def check_profiles(knowledge: Knowledge, sample: int = 0, seed: int = 1) -> list[Finding]:
    """
    Order, exclusion and settling on every profile.

    Args:
        knowledge: Rules and tables.
        sample: Every how-many-th profile is checked; 0 or 1 checks all.
        seed: For the orders.

    Returns:
        One finding a property.
    """
    order, exclusive, settled = Finding("same verdict in every order"), Finding("never both allowed and forbidden"), Finding("what is asked settles it")
    orders = reordered(knowledge, seed)
    for number, use in enumerate(itertools.chain(profiles(knowledge), ({"act": "touch", **rest} for rest in residencies(knowledge)))):
        if sample > 1 and number % sample:
            continue
        judged = judge(use, knowledge)
        check_order(use, judged, orders, knowledge, order)
        check_exclusive(use, judged, knowledge, exclusive)
        check_settled(use, judged, knowledge, settled)
    return [order, exclusive, settled]


def check_equal(knowledge: Knowledge, count: int, seed: int) -> Finding:
    """
    Equal profiles give equal verdicts: random literal questions against their profiles.

    Args:
        knowledge: Rules and tables.
        count: How many questions are drawn.
        seed: For the draw.

    Returns:
        The finding.
    """
    found = Finding("equal profiles, equal verdicts")
    draw = random.Random(seed)  # noqa: S311 - a sample, not a secret
    tables, terms = knowledge.terms.tables, knowledge.terms
    free = [
        fact.name
        for fact in terms.facts.values()
        if fact.values
        and fact.name not in ("act", "object.storage", "storage.allowed", "available.since", "said.pool", "memory.resident")
        and "irql." not in fact.name
        and "limit." not in fact.name
    ]
    ddis = sorted(knowledge.ddis.names())
    for _ in range(count):
        act = draw.choice(values_of(knowledge, "act"))
        use: Use = {"act": act, **draw.choice(STATED)}
        if draw.random() < 0.7:
            use["routine"] = draw.choice(list(tables["routines"]))
        held = draw.sample(list(tables["locks"]), draw.choice((0, 0, 1, 1, 2)))
        if held:
            use["lock"] = tuple(held)
        if act == "store":
            use["object"] = draw.choice(list(tables["objects"]))
        if act == "acquire":
            use["acquired"] = draw.choice(list(tables["locks"]))
        if act == "call":
            use["ddi"] = draw.choice(ddis)
        for name in free:
            if draw.random() < 0.35:
                use[name] = draw.choice(values_of(knowledge, name))
        found.points += 1
        profile = canonical(use, knowledge)
        one, other = judge(use, knowledge), judge(profile, knowledge)
        if (one.outcome, set(one.unknown), one.conditions, one.lowest, one.highest) != (other.outcome, set(other.unknown), other.conditions, other.lowest, other.highest):
            found.fail(use, f"is {one.outcome} {one.unknown}, its profile {profile} is {other.outcome} {other.unknown}")
    return found


def needs(out: Where) -> str:
    """What a place makes of pageable memory: `nonpaged`, `paged_ok`, or `open` while the level is unknown."""
    if out.highest is None:
        return "nonpaged" if out.lowest is not None and rank(out.lowest) >= rank("DISPATCH_LEVEL") else "open"
    return "nonpaged" if rank(out.highest) >= rank("DISPATCH_LEVEL") else "paged_ok"


def below(one: Use, other: Use) -> bool:
    """Whether a stated range is nowhere above another one."""
    if set(one) != set(other):
        return False
    return all(rank(str(one[name])) <= rank(str(other[name])) for name in one)


RAISED = tuple((at, over) for at, one in enumerate(STATED) for over, other in enumerate(STATED) if at != over and below(one, other))
"""Pairs of stated levels of which the second is the higher one."""


def check_places(knowledge: Knowledge, sample: int = 0) -> list[Finding]:
    """
    Every distinct place at every stated level: raising, adding a lock, contradictions, and names that must not matter.

    Args:
        knowledge: The tables.
        sample: Every how-many-th place is checked; 0 or 1 checks all.

    Returns:
        One finding a property.
    """
    raised, locked = Finding("raising the IRQL keeps a nonpaged requirement"), Finding("adding a lock keeps a nonpaged requirement")
    told, names, firm = Finding("contradictions are reported and the rule counts"), Finding("names of locks do not matter"), Finding("a further fact keeps a firm level")
    other_names, new = renamed_locks(knowledge)
    outs: dict[str, list[Where]] = {}
    for number, (routine, locks, use) in enumerate(places(knowledge)):
        if sample > 1 and number % sample:
            continue
        ours = [where({**use, **stated}, knowledge) for stated in STATED]
        for at, over in RAISED:
            raised.points += 1
            if needs(ours[at]) == "nonpaged" and needs(ours[over]) != "nonpaged":
                raised.fail({**use, **STATED[at]}, f"needs nonpaged memory; raised to {STATED[over]} it is {needs(ours[over])}")
        fewer = {name: value for name, value in use.items() if name != "lock"}
        for drop in range(len(locks)):
            rest = tuple(row.id for at, row in enumerate(locks) if at != drop)
            without: Use = {**fewer, **({"lock": rest} if rest else {})}
            key = repr(sorted(without.items()))
            if key not in outs:
                outs[key] = [where({**without, **stated}, knowledge) for stated in STATED]
            for stated, mine, theirs in zip(STATED, ours, outs[key], strict=True):
                locked.points += 1
                if needs(theirs) == "nonpaged" and needs(mine) != "nonpaged":
                    locked.fail({**without, **stated}, f"needs nonpaged memory; with {locks[drop].id} held it is {needs(mine)}")
        if locks:
            renamed = {**use, "lock": tuple(new[row.id] for row in locks)}
            for stated, mine in zip(STATED, ours, strict=True):
                names.points += 1
                again = where({**renamed, **stated}, other_names)
                if again != mine:
                    names.fail({**use, **stated}, f"{mine} becomes {again} when the locks are renamed")
        for stated, mine in zip(STATED, ours, strict=True):
            check_told(routine, locks, use, stated, mine, ours[0], knowledge, told)
        check_firm(routine, locks, use, ours, knowledge, firm)
        if routine is not None and not locks:
            check_claimed(use, ours[0], knowledge, told)
    return [raised, locked, told, names, firm]


def check_firm(routine: Row | None, locks: Sequence[Row], use: Use, ours: Sequence[Where], knowledge: Knowledge, found: Finding) -> None:
    """A level that is settled without assuming anything stays where a further fact is stated."""
    assumed = set((routine.more.get("assume") or {}) if routine is not None else {})
    for name in case_facts([routine, *locks]):
        if name in use or name in assumed:
            continue
        for stated, mine in zip(STATED, ours, strict=True):
            if needs(mine) == "open" or stated:
                continue
            for value in values_of(knowledge, name):
                found.points += 1
                after = where({**use, **stated, name: value}, knowledge)
                if needs(mine) == "paged_ok" and needs(after) == "nonpaged":
                    found.fail({**use, **stated}, f"pageable memory is fine, but with {name} = {value} it is not, and {name} was neither asked nor assumed")


def check_claimed(use: Use, documented: Where, knowledge: Knowledge, found: Finding) -> None:
    """What the question says of a routine ("it always runs at PASSIVE_LEVEL") is compared with what is documented and never used."""
    if documented.lowest is None or documented.highest is None:
        return
    for low, high in LEVEL_PAIRS:
        found.points += 1
        claimed = where({**use, "claim.lowest": low, "claim.highest": high}, knowledge)
        row = knowledge.terms.row("routines", str(use.get("routine", "")))
        if row is not None and row.more.get("level") == "caller" and rank(documented.lowest) <= rank(low) and rank(high) <= rank(documented.highest):
            if (claimed.lowest, claimed.highest) != (low, high):
                found.fail(use, f"it runs at its caller's level, claimed {span(low, high)}, used {claimed.lowest} to {claimed.highest}")
            continue
        beyond = rank(documented.highest) > rank(high) or rank(documented.lowest) < rank(low)
        if (claimed.lowest, claimed.highest) != (documented.lowest, documented.highest):
            found.fail(use, f"the claim {span(low, high)} was used: {claimed.lowest} to {claimed.highest}")
        if claimed.contradicted != beyond:
            found.fail(use, f"documented is {span(documented.lowest, documented.highest)}, claimed {span(low, high)}; contradiction reported: {claimed.contradicted}")


def check_told(routine: Row | None, locks: Sequence[Row], use: Use, stated: Use, mine: Where, unstated: Where, knowledge: Knowledge, found: Finding) -> None:
    """A stated level that the routine or a lock excludes is reported, and what is documented counts; one above the routine's, told of code in it, counts itself."""
    if "irql.highest" not in stated:
        return
    low, high = str(stated.get("irql.lowest", "PASSIVE_LEVEL")), str(stated["irql.highest"])
    found.points += 1
    if routine is not None and not locks and unstated.lowest is not None and unstated.highest is not None:
        above, below_it = rank(low) > rank(unstated.highest), rank(high) < rank(unstated.lowest)
        loose = where({**use, **stated, "irql.apart": "true"}, knowledge)
        for seen, excluded in ((mine, below_it), (loose, above or below_it)):
            if excluded != seen.contradicted:
                found.fail({**use, **stated}, f"the routine runs at {span(unstated.lowest, unstated.highest)}; contradiction reported: {seen.contradicted}")
            if excluded and (seen.lowest, seen.highest) != (unstated.lowest, unstated.highest):
                found.fail({**use, **stated}, f"the claim was used: {seen.lowest} to {seen.highest}")
        if above and (mine.lowest, mine.highest) != (low, high):
            found.fail({**use, **stated}, f"code there was told to run at {span(low, high)}, used {mine.lowest} to {mine.highest}")
    if routine is None and len(locks) == 1 and locks[0].more.get("held") and not locks[0].more.get("cases"):
        held = locks[0].more["held"]
        if rank(high) < rank(held["lowest"]) and (not mine.contradicted or rank(str(mine.lowest)) < rank(held["lowest"])):
            found.fail({**use, **stated}, f"the lock raises to {held['lowest']}; contradiction reported: {mine.contradicted}, level used {mine.lowest}")


def check_pools(knowledge: Knowledge) -> Finding:
    """
    Raising never loosens the pool: every use of memory at every pair of ranges, everything else equal.

    Args:
        knowledge: Rules and tables.

    Returns:
        The finding.
    """
    found = Finding("raising the IRQL keeps the pool verdict")
    ranges = [{"irql.lowest": low, "irql.highest": high} for low, high in LEVEL_PAIRS]
    for act in ("allocate", "touch", "free"):
        facts = {"allocate": [], "free": ["memory.freed"], "touch": ["memory.locked", "memory.freed", "memory.overrun", "io.paging"]}[act]
        for rest in stated_or_not(knowledge, facts):
            pools = [decide([{"act": act, **rest, **one}], knowledge, explore=False).pool for one in ranges]
            for at, over in itertools.product(range(len(ranges)), repeat=2):
                if below(dict(ranges[at]), dict(ranges[over])):
                    found.points += 1
                    if pools[at] in ("nonpaged_required", "not_allowed") and pools[over] in ("paged_ok", "either", "depends"):
                        found.fail({"act": act, **rest, **ranges[at]}, f"{pools[at]}; raised to {ranges[over]} {pools[over]}")
    return found
