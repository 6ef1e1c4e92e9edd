"""The proof in small: a sample of the profiles, all mutants of the rules, the figures of the tables against their citations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kb.engine import load_knowledge
from kb.prove.__main__ import main
from kb.prove.claims import claims, says_number
from kb.prove.levels import hull, ranges_in
from kb.prove.mutants import claim_faults, example_faults, justified, noticed, sort_out, surviving_figures, surviving_rules
from kb.prove.pages import load_pages
from kb.prove.profiles import MEMORY_FACTS, canonical, profiles, relevant
from kb.prove.properties import RAISED, check_equal, check_places, check_profiles
from kb.prove.several import check_several

KNOWLEDGE = load_knowledge()
SAMPLE = 60  # every 60th profile and place; `python -m kb.prove` takes all


@pytest.mark.parametrize(
    ("term", "ranges"),
    [
        ("IRQL <= DISPATCH_LEVEL", [("PASSIVE_LEVEL", "DISPATCH_LEVEL")]),
        ("<=DISPATCH_LEVEL", [("PASSIVE_LEVEL", "DISPATCH_LEVEL")]),
        ("must be running at IRQL < DISPATCH_LEVEL", [("PASSIVE_LEVEL", "APC_LEVEL")]),
        ("IRQL >= DISPATCH_LEVEL", [("DISPATCH_LEVEL", "HIGH_LEVEL")]),
        ("greater than IRQL APC_LEVEL", [("DISPATCH_LEVEL", "HIGH_LEVEL")]),
        ("no higher than DISPATCH_LEVEL", [("PASSIVE_LEVEL", "DISPATCH_LEVEL")]),
        ("Called at PASSIVE_LEVEL", [("PASSIVE_LEVEL", "PASSIVE_LEVEL")]),
        ("can be called at IRQL = APC_LEVEL", [("PASSIVE_LEVEL", "APC_LEVEL")]),
        ("Any level", [("PASSIVE_LEVEL", "HIGH_LEVEL")]),
        ("runs at the DIRQL of the device", [("DIRQL", "DIRQL")]),
        ("arbitrary thread context", []),
    ],
)
def test_levels_in_a_term(term: str, ranges: list[tuple[str, str]]) -> None:
    assert ranges_in(term) == ranges


def test_the_joint_range_holds_all() -> None:
    assert hull([("APC_LEVEL", "APC_LEVEL"), ("PASSIVE_LEVEL", "DIRQL")]) == ("PASSIVE_LEVEL", "DIRQL") and hull([]) is None


def test_numbers_in_a_text() -> None:
    assert says_number("0x0D, or 0x23", 13) and says_number("value 16", 16) and not says_number("Windows 10, version 2004", 10)


def test_residency_follows_from_the_facts_that_profiles_vary() -> None:
    concluding = [rule for rule in KNOWLEDGE.rules if "memory.resident" in rule.then]
    assert {test.fact for rule in concluding for test in rule.when} <= {*MEMORY_FACTS, "act"}
    assert "memory.resident" in relevant(KNOWLEDGE, "touch")


def test_a_profile_keeps_what_matters_and_drops_the_rest() -> None:
    use = {"act": "touch", "routine": "dpc-for-isr", "lock": ("spin-lock",), "memory.pool": "paged", "architecture": "x64", "windows": "11"}
    assert canonical(use, KNOWLEDGE) == {"act": "touch", "memory.pool": "paged", "irql.lowest": "DISPATCH_LEVEL", "irql.highest": "DISPATCH_LEVEL"}


@pytest.mark.slow
def test_profiles_are_distinct_and_fewer_than_a_million() -> None:
    seen = [repr(sorted(use.items())) for use in profiles(KNOWLEDGE)]
    assert 20_000 < len(seen) < 1_000_000 and len(seen) == len(set(seen))


def test_a_bound_that_another_rule_hides_is_noticed() -> None:
    rule = next(rule for rule in KNOWLEDGE.rules if rule.id == "nonpaged-pool-allocated-up-to-dispatch")
    without = replace(rule, when=tuple(test for test in rule.when if not test.comparison))
    assert noticed(without, KNOWLEDGE) is not None


def test_every_example_holds_and_every_rule_holds_where_its_examples_say() -> None:
    assert list(example_faults(KNOWLEDGE.rules, KNOWLEDGE)) == []


def test_figures_stand_in_their_citations() -> None:
    alive = surviving_figures(KNOWLEDGE, None)[1]
    bad, fine, _ = sort_out([*claim_faults(KNOWLEDGE, None), *alive], justified())
    assert [mutant.key for mutant in bad] == []
    assert all(reason for _, reason in fine)


def test_a_changed_figure_is_not_carried() -> None:
    claim = next(claim for claim in claims(KNOWLEDGE) if claim.where == "routines/dpc-for-isr" and claim.field == "irql.highest")
    assert claim.carries("DISPATCH_LEVEL") and not claim.carries("APC_LEVEL") and not claim.carries("DIRQL")


def test_raised_pairs_are_above() -> None:
    assert len(RAISED) > 80


@pytest.mark.slow
def test_no_mutant_of_a_rule_survives() -> None:
    tried, alive = surviving_rules(KNOWLEDGE)
    assert tried > 500
    assert [mutant.key for mutant in sort_out(alive, justified())[0]] == []


@pytest.mark.slow
def test_figures_stand_on_their_pages() -> None:
    pages = load_pages(KNOWLEDGE)
    if pages is None:
        pytest.skip("no corpus at ../shared/corpus: what only pages carry is unproved here")
    alive = surviving_figures(KNOWLEDGE, pages)[1]
    bad, _, _ = sort_out([*claim_faults(KNOWLEDGE, pages), *alive], justified())
    assert [mutant.key for mutant in bad] == []


@pytest.mark.slow
def test_equal_profiles_have_equal_verdicts() -> None:
    assert check_equal(KNOWLEDGE, 1500, seed=11).violations == []


@pytest.mark.slow
def test_a_sample_of_the_profiles() -> None:
    assert [fault for finding in check_profiles(KNOWLEDGE, SAMPLE, seed=5) for fault in finding.violations] == []


@pytest.mark.slow
def test_a_sample_of_the_places() -> None:
    assert [fault for finding in check_places(KNOWLEDGE, SAMPLE) for fault in finding.violations] == []


@pytest.mark.slow
def test_questions_of_several_uses() -> None:
    assert [fault for finding in check_several(KNOWLEDGE, 80, seed=3) for fault in finding.violations] == []


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--sample" in capsys.readouterr().out
