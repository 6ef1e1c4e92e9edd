"""Facts and rules in, what the rules conclude out: facts first, then the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from kb.engine.knowledge import Knowledge
from kb.engine.records import LEVEL_FACTS, Contradiction, Facts, Judgement, Step, Value
from kb.engine.truth import Truth, compare
from kb.rulebook import Rule
from kb.terms import Terms

NAMED_FACTS = ("routine", "lock", "acquired", "object", "allocator", "ddi")  # rows that a question names or does not have


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
                if at_least(name, stated, value, knowledge.terms):
                    continue  # a spin lock disables all APCs of a thread that has normal ones disabled anyway
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


def remedy_for(rule: Rule, facts: Facts, terms: Terms) -> str:
    """What a rule advises in the case at hand: its first remedy whose facts hold, else the one for every case."""
    for one in rule.remedies:
        if all(compare(test, facts, terms) == "true" for test in one.when):
            return " ".join(one.do.split())
    return " ".join(rule.remedy.split())


def at_least(name: str, stated: Value | None, value: str, terms: Terms) -> bool:
    """Whether what is known of an ordered fact goes as far as a conclusion or further, so that the conclusion adds nothing."""
    if not isinstance(stated, str) or name in LEVEL_FACTS:
        return False
    known, wanted = terms.order(name, stated), terms.order(name, value)
    return known is not None and wanted is not None and known > wanted


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
