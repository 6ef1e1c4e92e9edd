"""Rules and table rows in, each broken in every small way out, with who notices: an example, or a citation."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kb.engine import Judgement, Knowledge, Value, judge, limits_of, try_rule
from kb.prove.claims import claims
from kb.prove.pages import Pages
from kb.rulebook import Example, Rule, Test
from kb.terms import LEVELS, Terms, read_yaml

OTHERS = {
    "at_least": ("above", "at_most", "below"),
    "above": ("at_least", "below", "at_most"),
    "at_most": ("below", "at_least", "above"),
    "below": ("at_most", "above", "at_least"),
}


@dataclass(frozen=True)
class Mutant:
    """One thing changed in the knowledge."""

    where: str
    """`rules/<id>` or `<table>/<row>`."""
    change: str
    """What was changed, `field: old -> new`."""

    @property
    def key(self) -> str:
        """How `justified.yaml` names it."""
        return f"{self.where}: {self.change}"


def shown(test: Test) -> str:
    """A line of a `when` in words."""
    return f"{test.fact} {test.comparison} {test.against}" if test.comparison else f"{test.fact} = {'|'.join(test.values)}"


def test_mutants(test: Test, terms: Terms) -> Iterator[tuple[str, Test | None]]:
    """Every small change of one line: dropped, compared otherwise, against the next level, with another value, without one of its values."""
    if not (test.fact == "act"):
        yield f"{shown(test)} -> dropped", None
    if test.comparison:
        for other in OTHERS[test.comparison]:
            yield f"{shown(test)} -> {other}", replace(test, comparison=other)
        if test.against in LEVELS:
            at = LEVELS.index(test.against)
            for level in LEVELS[max(0, at - 1) : at] + LEVELS[at + 1 : at + 2]:
                yield f"{shown(test)} -> {level}", replace(test, against=level)
        return
    if len(test.values) > 1:
        for value in test.values:
            yield f"{shown(test)} -> without {value}", replace(test, values=tuple(one for one in test.values if one != value))
    else:
        for value in terms.facts[test.fact].values:
            if value not in test.values:
                yield f"{shown(test)} -> {value}", replace(test, values=(value,))


def rule_mutants(rule: Rule, terms: Terms) -> Iterator[tuple[Mutant, Rule]]:
    """
    Every small change of a rule.

    Args:
        rule: The rule.
        terms: Values of facts.

    Yields:
        The mutant and the changed rule.
    """
    where = f"rules/{rule.id}"
    for number, test in enumerate(rule.when):
        for change, other in test_mutants(test, terms):
            when = (*rule.when[:number], *((other,) if other is not None else ()), *rule.when[number + 1 :])
            yield Mutant(where, f"when {change}"), replace(rule, when=when)
    for name, value in rule.then.items():
        values = ["allowed", "forbidden"] if name == "verdict" else list(terms.facts[name].values)
        for other_value in values:
            if other_value != value:
                yield Mutant(where, f"then {name} = {value} -> {other_value}"), replace(rule, then={**rule.then, name: other_value})
    for name, value in rule.assume.items():
        yield Mutant(where, f"assume {name} = {value} -> dropped"), replace(rule, assume={key: kept for key, kept in rule.assume.items() if key != name})
        for other_value in terms.facts[name].values:
            if other_value != value:
                yield Mutant(where, f"assume {name} = {value} -> {other_value}"), replace(rule, assume={**rule.assume, name: other_value})


def example_faults(rules: Sequence[Rule], knowledge: Knowledge) -> Iterator[str]:
    """
    Run the examples of these rules, as tests/test_rules.py does, and look at the rule itself.

    In an example of its own a rule must not hold where the verdict is another than the rule's, and where `because` names the steps, the
    rule holds if and only if it is among them. So a bound that another rule hides, as a forbidding rule hides the bound of the allowing
    one, is still tried.

    Args:
        rules: The rules whose examples are run.
        knowledge: The knowledge to judge with.

    Yields:
        The question of every example that comes out otherwise.
    """
    for rule in rules:
        for example in rule.examples:
            judged = judge(example.facts, knowledge)
            steps = [step.rule for step in judged.steps]
            told = [step for step in steps if step in example.because] == list(example.because)
            asked = not example.unknown or set(judged.unknown) == set(example.unknown)
            if judged.outcome != example.verdict or not told or not asked or not fits(rule, example, judged, knowledge):
                yield f"{rule.id}: {example.ask}"


def fits(rule: Rule, example: Example, judged: Judgement, knowledge: Knowledge) -> bool:
    """Whether a rule holds in an example of its own exactly where the example says so."""
    limits: list[dict[str, Value]] = [{}]
    if judged.facts.get("act") in ("call", "acquire"):
        pages, headers, _, _, _ = limits_of(judged.facts, knowledge)
        limits = [{"limit.lowest": low, "limit.highest": high} for low, high, _ in [*pages, *headers]] or [{}]
    holds = any(try_rule(rule, {**judged.facts, **limit}, knowledge.terms)[0] == "true" for limit in limits)
    if holds and rule.verdict and rule.verdict != example.verdict:
        return False
    return not example.because or holds == (rule.id in example.because)


def noticed(mutant: Rule, knowledge: Knowledge, known: Collection[str] = ()) -> str | None:
    """
    Which example notices a changed rule.

    Args:
        mutant: The changed rule.
        knowledge: The knowledge with the rule unchanged.
        known: Examples that fail without any mutant; they notice nothing.

    Returns:
        The question of the first example that comes out otherwise, its own examples first; None when all pass.
    """
    changed = knowledge._replace(rules=tuple(mutant if rule.id == mutant.id else rule for rule in knowledge.rules))
    others = [rule for rule in knowledge.rules if rule.id != mutant.id]
    return next((fault for fault in example_faults([mutant, *others], changed) if fault not in known), None)


def surviving_rules(knowledge: Knowledge, sample: int = 0) -> tuple[int, list[Mutant]]:
    """
    Mutate every rule.

    Args:
        knowledge: Rules and tables.
        sample: Every how-many-th mutant is tried; 0 or 1 tries all.

    Returns:
        How many mutants were tried, and those that no example notices.
    """
    tried, alive, number = 0, [], 0
    known = set(example_faults(knowledge.rules, knowledge))
    for rule in knowledge.rules:
        for mutant, changed in rule_mutants(rule, knowledge.terms):
            number += 1
            if sample > 1 and number % sample:
                continue
            tried += 1
            if noticed(changed, knowledge, known) is None:
                alive.append(mutant)
    return tried, alive


def claim_faults(knowledge: Knowledge, pages: Pages | None) -> list[Mutant]:
    """
    Figures of the tables that their citations do not carry.

    Args:
        knowledge: The tables.
        pages: The corpus, None where it is absent.

    Returns:
        One entry a figure, its `change` naming field and value.
    """
    return [Mutant(claim.where, f"{claim.field} {claim.value} is carried by no citation") for claim in claims(knowledge, pages) if not claim.carries(claim.value)]


def surviving_figures(knowledge: Knowledge, pages: Pages | None, sample: int = 0) -> tuple[int, list[Mutant]]:
    """
    Mutate every figure of the tables.

    Args:
        knowledge: The tables.
        pages: The corpus, None where it is absent.
        sample: Every how-many-th mutant is tried; 0 or 1 tries all.

    Returns:
        How many mutants were tried, and those that the citations would carry as well.
    """
    tried, alive, number = 0, [], 0
    for claim in claims(knowledge, pages):
        for other in claim.others:
            number += 1
            if sample > 1 and number % sample:
                continue
            tried += 1
            if claim.carries(other):
                alive.append(Mutant(claim.where, f"{claim.field} {claim.value} -> {other}"))
    return tried, alive


@dataclass(frozen=True)
class Justified:
    """A pattern of mutants that may survive, with the reason."""

    mutant: str
    reason: str


def justified() -> list[Justified]:
    """The entries of `justified.yaml`."""
    return [Justified(str(entry["mutant"]), " ".join(str(entry["reason"]).split())) for entry in read_yaml(Path(__file__).parent / "justified.yaml") or []]


def sort_out(found: Sequence[Mutant], entries: Sequence[Justified]) -> tuple[list[Mutant], list[tuple[Mutant, str]], list[str]]:
    """
    Separate what is justified.

    Args:
        found: Survivors and faults.
        entries: What may survive.

    Returns:
        What is not justified; what is, with its reason; patterns that match nothing.
    """
    bad, fine, used = [], [], set()
    for mutant in found:
        entry = next((entry for entry in entries if matches(mutant.key, entry.mutant)), None)
        if entry is None:
            bad.append(mutant)
        else:
            fine.append((mutant, entry.reason))
            used.add(entry.mutant)
    return bad, fine, [entry.mutant for entry in entries if entry.mutant not in used]


def matches(key: str, pattern: str) -> bool:
    """Whether a key fits a pattern in which `*` stands for anything."""
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), key) is not None
