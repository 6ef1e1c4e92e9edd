"""Every rule file is its own test: its examples give what they say, and the rule fires in one of them."""

from __future__ import annotations

import pytest

from kb.engine import judge, load_knowledge
from kb.rulebook import Example, Rule

KNOWLEDGE = load_knowledge()
EXAMPLES = [pytest.param(rule, example, id=f"{rule.id}-{number}") for rule in KNOWLEDGE.rules for number, example in enumerate(rule.examples, start=1)]


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_example(rule: Rule, example: Example) -> None:
    judged = judge(example.facts, KNOWLEDGE)
    steps = [step.rule for step in judged.steps]
    assert judged.outcome == example.verdict, f"{rule.id}: {example.ask} {steps} waits for {judged.unknown}"
    assert [step for step in steps if step in example.because] == list(example.because), example.ask
    if example.unknown:
        assert set(judged.unknown) == set(example.unknown), example.ask


@pytest.mark.parametrize("rule", KNOWLEDGE.rules, ids=lambda rule: rule.id)
def test_the_rule_fires_in_one_of_its_examples(rule: Rule) -> None:
    assert any(rule.id in [step.rule for step in judge(example.facts, KNOWLEDGE).steps] for example in rule.examples)


@pytest.mark.parametrize("rule", KNOWLEDGE.rules, ids=lambda rule: rule.id)
def test_the_rule_reads_well(rule: Rule) -> None:
    assert not rule.title.endswith(".") and rule.title[0].isupper(), "the title is a phrase, without a full stop"
    assert rule.rationale.endswith("."), "the reason is made of sentences"
    assert rule.verdict != "forbidden" or rule.remedy, "what is forbidden needs a way out"
    assert all(citation.terms and citation.says for citation in rule.citations if citation.page), "terms to check and our own words"
    assert len({example.ask for example in rule.examples}) == len(rule.examples), "each question once"
    assert all(example.ask.endswith("?") for example in rule.examples)


def test_titles_are_unique() -> None:
    titles = [rule.title for rule in KNOWLEDGE.rules]
    assert len(titles) == len(set(titles))


def test_every_bug_check_of_a_rule_is_in_the_table() -> None:
    known = {f"0x{row.more['code']:02X}" for row in KNOWLEDGE.terms.tables["bugchecks"].values()}
    assert {(rule.id, code) for rule in KNOWLEDGE.rules for code in rule.bug_checks if code not in known} == set()
