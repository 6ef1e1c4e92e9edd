"""Facts and rules in, a verdict with its derivation out. Reads no file, clock or model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from kb.ddis import Ddi, DdiRow, DdiTable
from kb.rulebook import Rule, Test, load_rules
from kb.terms import Citation, Row, Terms, load_terms, rank, text_of

Value = str | tuple[str, ...]
Facts = Mapping[str, Value]
Truth = Literal["true", "false", "unknown"]

MEMORY_ACTS = ("allocate", "touch", "free", "store")
LEVEL_FACTS = ("irql.lowest", "irql.highest")
LIMIT_FACTS = ("limit.lowest", "limit.highest")
OUTSIDE_POOL = ("stack", "device_extension", "global", "user_buffer", "paged_section")


class Knowledge(NamedTuple):
    """Everything the engine reasons with."""

    terms: Terms
    rules: tuple[Rule, ...]
    ddis: DdiTable


def load_knowledge(extra: Sequence[Path] = ()) -> Knowledge:
    """
    Load terms, rules and DDI facts from the built-in knowledge.

    Args:
        extra: Tables of DDI facts that a user's own sources gave, beside the index.

    Returns:
        The knowledge; loaded once a process.

    Raises:
        KnowledgeError: A file is malformed.
    """
    return Knowledge(load_terms(), load_rules(), DdiTable.load(extra=extra))


@dataclass(frozen=True)
class Step:
    """One step of a derivation."""

    rule: str
    """Id of the rule, or `<table>/<row>` or `ddi/<name>` for a row that concluded."""
    says: str
    premises: tuple[str, ...]
    """Names of the facts it started from."""
    citations: tuple[Citation, ...]
    concludes: tuple[str, ...] = ()
    """Names of the facts it concluded."""


@dataclass(frozen=True)
class Contradiction:
    """A stated fact that a rule's conclusion overrides; the rule is used, never the claim."""

    fact: str
    stated: str
    concluded: str
    rule: str
    says: str
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What one use comes to."""

    outcome: str
    """`allowed`, `forbidden` or `undetermined`."""
    steps: tuple[Step, ...]
    unknown: tuple[str, ...] = ()
    """Facts that would settle it, when undetermined."""
    conditions: tuple[str, ...] = ()
    """Conditions in words that no fact expresses, when undetermined because of them."""
    assumed: Mapping[str, str] = field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()
    lowest: str | None = None
    highest: str | None = None
    facts: Facts = field(default_factory=dict)
    """All facts, stated, assumed and derived."""
    rows: tuple[DdiRow, ...] = ()
    """The DDI rows that may apply to a call."""


@dataclass(frozen=True)
class Branch:
    """What holds when the unknown fact has this value."""

    fact: str
    value: str
    pool: str
    callable: str
    outcome: str


@dataclass(frozen=True)
class Verdict:
    """The engine's judgement over all uses."""

    outcome: str = "none"
    pool: str = "n/a"
    callable: str = "n/a"
    max_irql: str | None = None
    min_irql: str | None = None
    condition: str | None = None
    derivation: tuple[Step, ...] = ()
    unknown: tuple[str, ...] = ()
    branches: tuple[Branch, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    assumed: Mapping[str, str] = field(default_factory=dict)
    judgements: tuple[Judgement, ...] = ()
    deciding: int | None = None
    """Number of the use that decided."""


def compare(test: Test, facts: Facts, terms: Terms) -> Truth:
    """
    Evaluate one line of a `when` with three values.

    Args:
        test: The line.
        facts: What is known.
        terms: For the order of values.

    Returns:
        `unknown` when the fact, or the one it is compared with, is missing.
    """
    value = facts.get(test.fact)
    if value is None:
        return "unknown"
    if test.values:
        held = value if isinstance(value, tuple) else (value,)
        return "true" if any(one in test.values for one in held) else "false"
    against = facts.get(test.against) if test.against in terms.facts else test.against
    if against is None:
        return "unknown"
    left, right = terms.order(test.fact, str(value)), terms.order(test.fact, str(against))
    if left is None or right is None:
        return "unknown"
    holds = {"at_least": left >= right, "at_most": left <= right, "above": left > right, "below": left < right}[test.comparison]
    return "true" if holds else "false"


def holds(when: Mapping[str, object], facts: Facts) -> tuple[Truth, tuple[str, ...]]:
    """
    Evaluate a table row's or DDI row's condition: all facts must have these values.

    Args:
        when: Fact name to value, or to a list of values of which one must hold.
        facts: What is known.

    Returns:
        The truth, and the facts that are missing when it is `unknown`.
    """
    missing = []
    for name, wanted in when.items():
        value = facts.get(name)
        values = [text_of(one) for one in wanted] if isinstance(wanted, (list, tuple)) else [text_of(wanted)]
        if value is None:
            missing.append(name)
            continue
        held = value if isinstance(value, tuple) else (value,)
        if not any(one in values for one in held):
            return "false", ()
    return ("unknown", tuple(missing)) if missing else ("true", ())


def highest_of(one: str, other: str) -> str:
    """The higher of two levels."""
    return one if rank(one) >= rank(other) else other


def lowest_of(one: str, other: str) -> str:
    """The lower of two levels."""
    return one if rank(one) <= rank(other) else other


def span(lowest: str, highest: str) -> str:
    """A range of IRQL in words."""
    if lowest == highest:
        return f"`IRQL = {lowest}`"
    if lowest == "PASSIVE_LEVEL":
        return "any IRQL" if highest == "HIGH_LEVEL" else f"`IRQL <= {highest}`"
    if highest == "HIGH_LEVEL":
        return f"`IRQL >= {lowest}`"
    return f"`{lowest} <= IRQL <= {highest}`"


def titled(row: Row, note: str = "") -> str:
    """A row's note with its subject before it, since a note may begin with "It"."""
    title = row.title if row.title.startswith("`") else row.title[0].upper() + row.title[1:]
    return f"{title}: {note or row.note}"


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

    def settle(self) -> None:
        """Combine routine, stated level and locks; put `irql.lowest` and `irql.highest` into the facts when known."""
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
        if rank(self.highest) > rank(high) or rank(self.lowest) < rank(low):
            last = self.steps[-1]
            says = f"Not {span(low, high)}: documented is {span(self.lowest, self.highest)}, and that is used here."
            self.contradictions.append(Contradiction("irql", span(low, high), span(self.lowest, self.highest), last.rule, says, last.citations))

    def _from_lock_claim(self) -> None:
        """Compare what the question says of a lock ("a fast mutex raises to DISPATCH_LEVEL") with what is documented of it."""
        low, high = self.facts.pop("lock.claim.lowest", None), self.facts.pop("lock.claim.highest", None)
        if not isinstance(low, str) or not isinstance(high, str) or self.lowest is None or self.highest is None or not self.steps:
            return
        if (low, high) != (self.lowest, self.highest):
            last = self.steps[-1]
            says = f"Not {span(low, high)}: documented is {span(self.lowest, self.highest)}, and that is used here."
            self.contradictions.append(Contradiction("irql", span(low, high), span(self.lowest, self.highest), last.rule, says, last.citations))

    def _from_statement(self) -> None:
        lowest, highest = self.facts.get("irql.lowest"), self.facts.get("irql.highest")
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
            last = self.steps[-1]
            self.contradictions.append(
                Contradiction(
                    "irql",
                    span(low, high),
                    span(self.lowest, self.highest),
                    last.rule,
                    f"Not {span(low, high)}: documented is {span(self.lowest, self.highest)}, and that is used here.",
                    last.citations,
                )
            )
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


APC_STATES = ("enabled", "normal_disabled", "all_disabled")  # weakest first


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


def ddi_citations(ddi: Ddi, rows: Sequence[DdiRow]) -> tuple[Citation, ...]:
    """
    Citations of a DDI's rows, page and section each once.

    Args:
        ddi: The DDI.
        rows: Some of its rows.

    Returns:
        One citation a page and section, in row order; header rows cite the DDI's first page as the place to compare with.
    """
    found: dict[tuple[str, str | None], Citation] = {}
    pages = [page.page for page in ddi.pages if page.page]
    for row in rows:
        page = row.page if row.page in pages else (pages[0] if pages else row.page)
        section = row.section or "requirements"
        if row.source == "header" or not page:
            continue
        says = f"{ddi.name}: {row_words(row)}."
        key = (page, section)
        if key in found:
            if row_words(row) not in found[key].says:
                found[key] = replace(found[key], says=found[key].says[:-1] + "; " + row_words(row) + ".")
            continue
        found[key] = Citation.read({"page": page, "section": section, "says": says}, ddi.name)
    if not found and pages:
        found[(pages[0], None)] = Citation.read({"page": pages[0], "says": f"The reference page of {ddi.name}."}, ddi.name)
    return tuple(found.values())


def row_words(row: DdiRow) -> str:
    """One DDI row as a phrase: the range and the condition."""
    level = span(row.min or "PASSIVE_LEVEL", row.max or "HIGH_LEVEL") if row.min or row.max else "no level stated"
    condition = row_condition(row)
    return f"{level} {condition}".strip()


def row_condition(row: DdiRow) -> str:
    """The condition of a DDI row in words, beginning with `when` or `if`; empty when it holds always."""
    if row.condition:
        text = row.condition
        if text.lower().startswith(("when", "if ", "on ", "for ", "unless", "with ", "without ", "under ")):
            return text
        if re.search(r"\b(is|are|was|has|have|runs|holds|states|lives|uses|says|can|does|==|!=|<|>)\b|==", text):
            return f"if {text}"
        return f"for {text}"
    return "when " + " and ".join(f"`{name}` is {value}" for name, value in row.when.items()) if row.when else ""


def candidate_rows(ddi: Ddi, facts: Facts) -> tuple[list[DdiRow], list[DdiRow], tuple[str, ...]]:
    """
    The documented rows that may apply to a call.

    Args:
        ddi: The DDI called.
        facts: The use's facts, which decide the rows' conditions.

    Returns:
        Page rows that may apply, header rows that may apply, and the facts that would choose among the page rows.
    """
    sure: list[DdiRow] = []
    maybe: list[DdiRow] = []
    headers: list[DdiRow] = []
    missing: list[str] = []
    working = ddi.working
    pages = list(working)
    remarks = [row for row in pages if row.source == "remarks"]
    if remarks and any(not row.when and not row.condition for row in remarks):
        pages = remarks  # an unconditional sentence in the Remarks outranks the front matter
    for row in pages:
        if not row.when and not row.condition:
            continue
        truth, absent = holds(row.when, facts) if row.when else (stated_condition(row, facts), ())
        if truth == "true" and row.condition and not row.when:
            sure.append(row)
        elif truth == "true" and not (row.condition and not row.when):
            sure.append(row)
        elif truth == "unknown":
            maybe.append(row)
            missing += absent
    plain = [row for row in pages if not row.when and not row.condition]
    outranking = [row for row in plain if row.source in ("remarks", "correction")]
    plain = outranking or plain
    for row in ddi.rows:
        if row.source == "header" and row not in working:
            truth, _ = holds(row.when, facts) if row.when else (("unknown", ()) if row.condition else ("true", ()))
            if truth == "true":
                headers.append(row)
    chosen = sure or maybe + plain
    headers = [row for row in headers if any(stricter(row, other, ddi.role) for other in chosen)]
    return chosen, headers, () if sure else tuple(dict.fromkeys(missing))


def stricter(row: DdiRow, other: DdiRow, role: str) -> bool:
    """Whether *row* allows less than *other*: for what the driver calls a lower maximum or a higher minimum, for what it implements the reverse."""
    if role == "implemented_by_driver":
        return bool(row.max and other.max and rank(row.max) > rank(other.max))
    lower = bool(row.max and other.max and rank(row.max) < rank(other.max))
    return lower or bool(row.min and other.min and rank(row.min) > rank(other.min))


def stated_condition(row: DdiRow, facts: Facts) -> Truth:
    """Whether the question states the condition that a row gives in words only."""
    said = facts.get("condition")
    if said is None:
        return "unknown"
    return "true" if said == row.condition else "false"


def limits_of(use: Facts, knowledge: Knowledge) -> tuple[list[tuple[str, str, Step]], list[tuple[str, str, Step]], tuple[str, ...], tuple[str, ...], tuple[DdiRow, ...]]:
    """
    The IRQL limits of what a use calls or acquires.

    Args:
        use: The use's facts.
        knowledge: Rows of DDIs and locks.

    Returns:
        Candidate limits (lowest, highest, step) from pages, then from headers; facts that would choose; conditions in words; the DDI rows.
    """
    name, lock = use.get("ddi"), use.get("acquired")
    if isinstance(name, str):
        ddi = knowledge.ddis.find(name)
        if ddi is None:
            return [], [], (), (), ()
        pages, headers, missing = candidate_rows(ddi, use)
        conditions = tuple(dict.fromkeys(row_condition(row) for row in pages if row.condition and not row.when))
        made = []
        for group in (pages, headers):
            limits = []
            for row in group:
                if row.min is None and row.max is None:
                    continue
                says = f"`{ddi.name}` is documented for {row_words(row)}." if group is pages else f"The header annotates `{ddi.name}` for {row_words(row)}."
                citations = ddi_citations(ddi, [row]) if row.source != "header" else ddi_citations(ddi, ddi.rows)
                limits.append((row.min or "PASSIVE_LEVEL", row.max or "HIGH_LEVEL", Step(f"ddi/{ddi.name}", says, ("ddi", *row.when), citations, LIMIT_FACTS)))
            made.append(limits)
        return made[0], made[1], missing, conditions, (*pages, *headers)
    if isinstance(lock, str):
        held = knowledge.terms.row("locks", lock)
        if held is not None and held.more.get("requires"):
            limit = next((case["requires"] for case in held.more.get("cases") or () if "requires" in case and holds(case["when"], use)[0] == "true"), held.more["requires"])
            return [(limit["lowest"], limit["highest"], Step(f"locks/{held.id}", titled(held), ("acquired",), held.citations, LIMIT_FACTS))], [], (), (), ()
    return [], [], (), (), ()


def conclude(facts: dict[str, Value], knowledge: Knowledge, steps: list[Step], assumed: dict[str, str], contradictions: list[Contradiction]) -> None:
    """
    Draw every fact that rules without a verdict conclude, until nothing new follows.

    Args:
        facts: Extended in place.
        knowledge: The rules.
        steps: The steps taken are appended.
        assumed: Assumptions that mattered are added.
        contradictions: Stated facts that a conclusion overrides are appended.
    """
    fired: set[str] = set()
    concluded: dict[str, Rule] = {}
    changed = True
    while changed:
        changed = False
        for rule in knowledge.rules:
            if rule.verdict or rule.id in fired:
                continue
            truth, used, _ = try_rule(rule, facts, knowledge.terms)
            if truth != "true":
                continue
            fired.add(rule.id)
            assumed.update(used)
            for name, value in rule.then.items():
                other = concluded.get(name)
                stated = facts.get(name)
                if other is not None and other.then[name] != value:
                    keep, drop = (other, rule) if cautious(other.then[name], value) else (rule, other)
                    contradictions.append(Contradiction(name, drop.then[name], keep.then[name], keep.id, keep.title, keep.citations))
                    if keep is other:
                        continue
                    steps[:] = [step for step in steps if step.rule != drop.id]
                elif other is None and stated is not None and stated != value and name not in ("irql.lowest", "irql.highest"):
                    contradictions.append(Contradiction(name, str(stated), value, rule.id, rule.title, rule.citations))
                concluded[name] = rule
                facts[name] = value
            if not any(concluded.get(name) is rule for name in rule.then):
                continue
            steps.append(Step(rule.id, rule.title + ".", tuple(test.fact for test in rule.when), rule.citations, tuple(rule.then)))
            changed = True


NAMED_FACTS = ("routine", "lock", "acquired", "object", "allocator", "ddi")  # rows that a question names or does not have


def cautious(one: str, other: str) -> bool:
    """Whether the first of two values that rules conclude stays: `false` before any other, else the first by name, whatever the order of the rules."""
    return one == "false" or (other != "false" and one < other)


def try_rule(rule: Rule, facts: Facts, terms: Terms) -> tuple[Truth, dict[str, str], tuple[str, ...]]:
    """
    Evaluate a rule's `when`.

    Args:
        rule: The rule.
        facts: What is known.
        terms: Orders of values, and defaults of facts.

    Returns:
        The truth; the assumptions it used; the missing facts when unknown.
    """
    used: dict[str, str] = {}
    missing: list[str] = []
    for test in rule.when:
        if test.fact in NAMED_FACTS and test.fact not in facts:
            return "false", {}, ()  # a rule about a named thing says nothing of a question that names none
        truth = compare(test, facts, terms)
        if truth == "unknown":
            default = "" if test.fact in (facts.get("unsure") or ()) else rule.assume.get(test.fact) or terms.facts[test.fact].assume
            trial = {**rule.assume, **({test.fact: default} if default else {}), **facts}
            truth = compare(test, trial, terms)
            if truth != "unknown" and test.fact not in facts:
                used[test.fact] = default
        if truth == "false":
            return "false", {}, ()
        if truth == "unknown":
            missing.append(test.fact if test.fact not in facts else test.against)
    return ("unknown" if missing else "true"), used, tuple(missing)


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
    limits, header_limits, choosing, conditions, rows = limits_of(facts, knowledge)
    base = Judgement("undetermined", (), assumed=assumed, contradictions=tuple(contradictions), lowest=place.lowest, highest=place.highest, facts=facts, rows=rows)
    if facts.get("act") in ("call", "acquire"):
        return judge_limits(base, steps, limits, header_limits, choosing, conditions, place.unknown, knowledge)
    return apply_rules(base, steps, place.unknown, knowledge)


def judge_limits(
    base: Judgement,
    steps: list[Step],
    limits: list[tuple[str, str, Step]],
    header_limits: list[tuple[str, str, Step]],
    choosing: tuple[str, ...],
    conditions: tuple[str, ...],
    waiting: tuple[str, ...],
    knowledge: Knowledge,
) -> Judgement:
    """
    Judge a call under every documented limit that may apply; only agreement gives a firm outcome.

    Args:
        base: The judgement so far.
        steps: The steps so far.
        limits: Limits from pages: lowest, highest, step.
        header_limits: Limits from header annotations.
        choosing: Facts that would choose among the page limits.
        conditions: Conditions in words that no fact expresses.
        waiting: Facts on which the place's IRQL waits.
        knowledge: The rules.

    Returns:
        `allowed` or `forbidden` when all limits agree, else `undetermined` with what would settle it.
    """
    if not limits:
        return replace(base, steps=tuple(steps), unknown=waiting)
    results: list[Judgement] = []
    for lowest, highest, step in [*limits, *header_limits]:
        facts = {**base.facts, "limit.lowest": lowest, "limit.highest": highest}
        results.append(apply_rules(replace(base, facts=facts), [*steps, step], waiting, knowledge))
    outcomes = [result.outcome for result in results]
    paged = outcomes[: len(limits)]
    if len(set(outcomes)) == 1:
        if outcomes[0] == "undetermined":
            return results[0]
        decided = results[0]
        extra = [step for _, _, step in limits[1:] if step not in decided.steps]
        return replace(decided, steps=(*decided.steps[:-1], *extra, decided.steps[-1]))
    all_steps = (*steps, *(step for _, _, step in limits), *(step for _, _, step in header_limits))
    if len(set(paged)) == 1:  # the pages agree with each other, the header does not
        words = f"the page documents {span(limits[0][0], limits[0][1])}, the header annotates {span(header_limits[0][0], header_limits[0][1])}"
        return replace(base, outcome="undetermined", steps=all_steps, conditions=(words,))
    unknown = choosing or tuple(dict.fromkeys(name for result in results for name in result.unknown))
    return replace(base, outcome="undetermined", steps=all_steps, unknown=unknown, conditions=conditions)


SINCE = (
    ("windows 11", "11"),
    ("version 2", "10-2004"),
    ("version 1", "10"),
    ("windows 10", "10"),
    ("windows 8.1", "8.1"),
    ("windows 8", "8"),
    ("windows 7", "7"),
    ("vista", "vista"),
    ("xp", "xp"),
    ("2000", "2000"),
)


def since_of(text: str | None) -> str | None:
    """
    The first Windows version that a page names, as a value of the fact `windows`.

    Args:
        text: Such as `Windows 10, version 2004`, `Available starting with Windows 8.`, or None.

    Returns:
        The value; None when the text names no version.
    """
    lowered = (text or "").lower()
    return next((value for words, value in SINCE if words in lowered), None)


def availability(facts: dict[str, Value], knowledge: Knowledge, steps: list[Step]) -> None:
    """Add `available.since` for a call whose Windows version is stated: from the routine's page, or from the pool argument's row."""
    if "windows" not in facts:
        return
    argument = knowledge.terms.row("pool_arguments", str(facts.get("pool.argument", "")))
    if argument is not None:
        since = since_of(str(argument.more.get("since") or ""))
        if since is not None:
            facts["available.since"] = since
            steps.append(Step(f"pool_arguments/{argument.id}", argument.note, ("pool.argument",), argument.citations, ("available.since",)))
        return
    ddi = knowledge.ddis.find(str(facts.get("ddi", ""))) if facts.get("ddi") else None
    since = since_of(ddi.since) if ddi is not None else None
    if ddi is not None and since is not None:
        facts["available.since"] = since
        steps.append(
            Step(
                f"ddi/{ddi.name}",
                f"`{ddi.name}` is available since {ddi.since}.",
                ("ddi",),
                ddi_citations(ddi, [row for row in ddi.rows if row.section == "requirements"] or ddi.rows),
                ("available.since",),
            )
        )


def storage_of(facts: dict[str, Value], knowledge: Knowledge, steps: list[Step]) -> None:
    """
    Add what the object table says of where an object may live.

    Args:
        facts: Extended with `object.storage` and, where a case holds, `storage.allowed`.
        knowledge: The object and lock tables.
        steps: The step is appended.
    """
    name = facts.get("object")
    row = knowledge.terms.row("objects", name) if isinstance(name, str) else None
    if row is None or facts.get("act") != "store" or "storage" not in row.more:
        return
    facts["object.storage"] = str(row.more.get("storage", "nonpaged"))
    facts["storage.allowed"] = "no_case"
    for case in row.more.get("cases") or ():
        truth, missing = holds(case["when"], facts)
        if truth == "true":
            facts["storage.allowed"] = text_of(case.get("allowed", True))
            own = tuple(Citation.read(entry, row.id) for entry in case.get("citations") or ())
            steps.append(
                Step(
                    f"objects/{row.id}", " ".join(str(case.get("note") or row.note).split()), ("object", *case["when"]), own or row.citations, ("storage.allowed", "object.storage")
                )
            )
            return
        if truth == "unknown" and "memory.place" in facts and "memory.place" not in missing and "memory.place" in case["when"]:
            facts["storage.waits"] = missing
            del facts["storage.allowed"]
            break
    steps.append(Step(f"objects/{row.id}", titled(row), ("object",), row.citations, ("object.storage",)))


def apply_rules(base: Judgement, steps: list[Step], waiting: tuple[str, ...], knowledge: Knowledge) -> Judgement:
    """
    Let the verdict rules decide.

    A forbidding rule that fires decides; one that still waits for a fact blocks `allowed`; `allowed` needs a rule that says so.

    Args:
        base: The judgement so far, with all facts.
        steps: The steps so far.
        waiting: Facts on which the place's IRQL waits, asked in place of the IRQL itself.
        knowledge: The rules.

    Returns:
        The judgement.
    """
    facts = base.facts
    allowing: tuple[Rule, dict[str, str]] | None = None
    blocked: list[str] = []
    hoped: list[str] = []
    closing: set[str] = set()
    for rule in knowledge.rules:
        if not rule.verdict:
            continue
        truth, used, missing = try_rule(rule, facts, knowledge.terms)
        if truth == "false" and rule.verdict == "forbidden" and len(rule.when) > 2:
            failed = [test.fact for test in rule.when if compare(test, facts, knowledge.terms) == "false"]
            closing |= set(failed) if len(failed) == 1 and failed[0] not in LEVEL_FACTS else set()
        if truth == "true" and rule.verdict == "forbidden":
            return finish(base, steps, rule, used, "forbidden")
        if truth == "true" and allowing is None:
            allowing = (rule, used)
        if truth == "unknown":
            (blocked if rule.verdict == "forbidden" else hoped).extend(missing)
    if allowing is not None and not blocked:
        return finish(base, steps, allowing[0], allowing[1], "allowed", closing)
    stored = facts.get("storage.waits")
    wanted = list(stored) if isinstance(stored, tuple) else blocked or hoped
    names = tuple(dict.fromkeys(name for one in wanted for name in (waiting if waiting and one.startswith("irql.") else (one,))))
    return replace(base, outcome="undetermined", steps=tuple(steps), unknown=names)


def finish(base: Judgement, steps: list[Step], rule: Rule, used: Mapping[str, str], outcome: str, closing: Set[str] = frozenset()) -> Judgement:
    """The judgement with the deciding rule as its last step, keeping only the steps that lead to it, or (*closing*: facts) that close a rule that would forbid."""
    last = Step(rule.id, rule.title + ".", tuple(test.fact for test in rule.when), rule.citations)
    needed = {test.fact for test in rule.when} | {test.against for test in rule.when if test.against} | set(closing)
    kept: list[Step] = []
    for step in reversed(steps):
        if needed & set(step.concludes):
            kept.append(step)
            needed |= set(step.premises)
    return replace(base, outcome=outcome, steps=(*reversed(kept), last), assumed={**base.assumed, **used})


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


def with_pool(use: Facts, pool: str) -> Facts:
    """The use, judged as if its memory came from this pool."""
    return {**use, "memory.pool": pool}


def pool_of(paged: Sequence[Judgement], nonpaged: Sequence[Judgement]) -> str:
    """
    The pool that all uses together allow.

    Args:
        paged: Every use of the memory judged as paged pool.
        nonpaged: The same uses judged as nonpaged pool.

    Returns:
        `nonpaged_required`, `paged_ok`, `not_allowed` or `depends`, as contract.md defines them.
    """
    worst_paged = worst(paged)
    worst_nonpaged = worst(nonpaged)
    if worst_nonpaged == "forbidden":
        return "not_allowed"
    if worst_paged == "forbidden":
        return "nonpaged_required"
    if worst_paged == "allowed" and worst_nonpaged == "allowed":
        if all(one.facts.get("act") == "store" and one.facts.get("object.storage") == "either" for one in paged):
            return "either"
        return "paged_ok"
    return "depends"


def worst(judgements: Sequence[Judgement]) -> str:
    """The outcome over all uses: one forbidden use forbids, `allowed` needs all."""
    outcomes = {one.outcome for one in judgements}
    if "forbidden" in outcomes:
        return "forbidden"
    return "undetermined" if "undetermined" in outcomes else "allowed"


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
    seen = [number for number, use in enumerate(uses) if use.get("act") == "context"]
    memory = [number for number, use in enumerate(uses) if use.get("act") in MEMORY_ACTS]
    pooled = [number for number in memory if uses[number].get("memory.place") not in OUTSIDE_POOL and uses[number].get("said.pool") != "true"]
    calls = [number for number, use in enumerate(uses) if number not in memory and number not in seen]
    paged = [judge(with_pool(uses[number], "paged"), knowledge) for number in pooled]
    nonpaged = [judge(with_pool(uses[number], "nonpaged"), knowledge) for number in pooled]
    placed = {number: judge(uses[number], knowledge) for number in memory if number not in pooled}
    called = {number: judge(uses[number], knowledge) for number in calls}
    context = [place_of(uses[number], knowledge) for number in seen]
    pool = pool_of(paged, nonpaged) if pooled else "n/a"
    if placed:
        outcome = worst(list(placed.values()))
        if outcome == "undetermined" and pool in ("n/a", "paged_ok"):
            pool = "depends"
        elif outcome == "forbidden" and pool == "n/a":
            in_pool = [judge(with_pool({**uses[number], "memory.place": "pool"}, "paged"), knowledge) for number in placed]
            pool = "n/a" if worst(in_pool) == "allowed" else "nonpaged_required"  # where paged pool would do, the place is at fault and not the pool
        if not called and any(uses[number].get("said.pool") == "true" for number in placed):
            called = placed
            placed = {}
            pool = "n/a" if pool == "depends" else pool
    judged = list(called.values()) or (list(placed.values()) if not pooled else [])
    callable_ = {"allowed": "yes", "forbidden": "no", "undetermined": "conditional"}[worst(judged)] if judged else "n/a"
    deciding, shown = deciding_use(pool, pooled, paged, nonpaged, placed, called, proposed)
    unknown: list[str] = []
    conditions: list[str] = []
    everything = [*called.values(), *placed.values()]
    if pool == "depends":
        everything += [one for one in (*paged, *nonpaged) if one.outcome == "undetermined"]
    for one in everything:
        if one.outcome == "undetermined":
            unknown += one.unknown
            conditions += one.conditions
    verdict = Verdict(
        pool=pool,
        callable=callable_,
        derivation=tuple(dict.fromkeys(step for one in shown for step in one.steps)),
        unknown=tuple(dict.fromkeys(unknown)),
        condition="; ".join(dict.fromkeys(conditions)) or None,
        contradictions=tuple(dict.fromkeys(fault for one in (*paged, *placed.values(), *called.values()) for fault in one.contradictions)),
        assumed={name: value for one in shown for name, value in one.assumed.items()},
        judgements=tuple(shown),
        deciding=deciding,
    )
    verdict = with_outcome(with_limits(verdict, list(called.values()), paged), proposed)
    if verdict.outcome == "undetermined" and not verdict.condition and verdict.unknown:
        fact = knowledge.terms.facts.get(verdict.unknown[0])
        said = "the IRQL at which it runs" if verdict.unknown[0].startswith("irql.") else (fact.meaning[0].lower() + fact.meaning[1:].rstrip(".") if fact is not None else verdict.unknown[0])
        verdict = replace(verdict, condition=said)
    if context:
        first = context[0]
        low, high = first.lowest, first.highest
        verdict = replace(
            verdict,
            min_irql=low if verdict.max_irql is None else verdict.min_irql,
            max_irql=high if verdict.max_irql is None else verdict.max_irql,
            judgements=(*verdict.judgements, *context),
            contradictions=tuple(dict.fromkeys((*verdict.contradictions, *first.contradictions))),
            derivation=verdict.derivation or first.steps,
        )
    if explore and verdict.unknown:
        verdict = with_branches(verdict, uses, knowledge, proposed)
    return verdict


def deciding_use(
    pool: str,
    pooled: Sequence[int],
    paged: Sequence[Judgement],
    nonpaged: Sequence[Judgement],
    placed: Mapping[int, Judgement],
    called: Mapping[int, Judgement],
    proposed: str,
) -> tuple[int | None, list[Judgement]]:
    """The number of the use that decided, and the judgements whose steps make the derivation, the deciding one last."""
    shown: list[Judgement] = []
    deciding = None
    if pool in ("nonpaged_required", "not_allowed"):
        side = nonpaged if pool == "not_allowed" else paged
        for number, one in zip(pooled, side, strict=True):
            if one.outcome == "forbidden":
                deciding = number if deciding is None else deciding
                shown.append(one)
        if pool == "nonpaged_required":
            good = [other for other, bad in zip(nonpaged, paged, strict=True) if bad.outcome == "forbidden" and other.outcome == "allowed"]
            shown = [*shown[:3], *good[:1]] if proposed == "nonpaged" else shown[:3]
    elif pool in ("paged_ok", "either", "depends"):
        shown += paged
        deciding = pooled[0] if pooled else None
    for number, one in (*placed.items(), *called.items()):
        shown.append(one)
        deciding = number if deciding is None or one.outcome == "forbidden" else deciding
    return deciding, shown


def with_limits(verdict: Verdict, called: Sequence[Judgement], paged: Sequence[Judgement]) -> Verdict:
    """Add the documented IRQL range of what is called: over all rows that may apply, the widest."""
    lows, highs = [], []
    for one in called:
        rows = [row for row in one.rows if row.source != "header"] or list(one.rows)
        lows += [row.min for row in rows if row.min]
        highs += [row.max for row in rows if row.max]
        if "limit.highest" in one.facts and not rows:
            lows.append(str(one.facts["limit.lowest"]))
            highs.append(str(one.facts["limit.highest"]))
        if lows or highs:
            break
    return replace(verdict, min_irql=min(lows, key=rank) if lows else None, max_irql=max(highs, key=rank) if highs else None)


def with_outcome(verdict: Verdict, proposed: str) -> Verdict:
    """Judge what the question proposes, from `callable` and `pool`."""
    parts = []
    if verdict.callable != "n/a":
        parts.append({"yes": "allowed", "no": "forbidden", "conditional": "undetermined"}[verdict.callable])
    if verdict.pool == "depends":
        parts.append("undetermined")
    elif verdict.pool == "not_allowed":
        parts.append("forbidden")
    elif verdict.pool != "n/a":
        parts.append("forbidden" if proposed == "paged" and verdict.pool == "nonpaged_required" else "allowed")
    if not parts:
        return replace(verdict, outcome="none")
    return replace(verdict, outcome="forbidden" if "forbidden" in parts else "undetermined" if "undetermined" in parts else "allowed")


# What the chat offers when the IRQL itself is unknown: the two sides of the line that decides nearly everything.
IRQL_CHOICES = {"<= APC_LEVEL": ("PASSIVE_LEVEL", "APC_LEVEL"), "DISPATCH_LEVEL": ("DISPATCH_LEVEL", "DISPATCH_LEVEL")}


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
            tried.append((value, decide(given, knowledge, proposed, explore=False)))
        outcomes = {(one.pool, one.callable, one.outcome) for _, one in tried}
        if len(outcomes) == 1:
            if tried[0][1].outcome in ("allowed", "forbidden") and not irql:
                return replace(tried[0][1], assumed=verdict.assumed)
            continue
        branches = tuple(Branch("irql" if irql else name, value, one.pool, one.callable, one.outcome) for value, one in tried)
        others = tuple(other for other in verdict.unknown if other != name)
        return replace(verdict, branches=branches, unknown=(name, *others))
    return verdict
