"""The engine by itself: three-valued logic, levels combined, uses judged together, contradictions told, order without effect."""

from __future__ import annotations

import random

import pytest

from kb.engine import Facts, compare, decide, holds, judge, load_knowledge, span
from kb.rulebook import Test as Line
from kb.terms import LEVELS, rank

KNOWLEDGE = load_knowledge()
TERMS = KNOWLEDGE.terms
DPC, PASSIVE = {"irql.lowest": "DISPATCH_LEVEL", "irql.highest": "DISPATCH_LEVEL"}, {"irql.lowest": "PASSIVE_LEVEL", "irql.highest": "PASSIVE_LEVEL"}


@pytest.mark.parametrize(
    ("line", "facts", "truth"),
    [
        (Line("memory.pool", ("paged",)), {"memory.pool": "paged"}, "true"),
        (Line("memory.pool", ("paged",)), {"memory.pool": "nonpaged"}, "false"),
        (Line("memory.pool", ("paged",)), {}, "unknown"),
        (Line("lock", ("spin-lock", "fast-mutex")), {"lock": ("push-lock", "fast-mutex")}, "true"),
        (Line("irql.highest", comparison="at_least", against="DISPATCH_LEVEL"), {"irql.highest": "DISPATCH_LEVEL"}, "true"),
        (Line("irql.highest", comparison="above", against="DISPATCH_LEVEL"), {"irql.highest": "DISPATCH_LEVEL"}, "false"),
        (Line("irql.highest", comparison="at_most", against="DISPATCH_LEVEL"), {"irql.highest": "DIRQL"}, "false"),
        (Line("irql.highest", comparison="below", against="DISPATCH_LEVEL"), {"irql.highest": "APC_LEVEL"}, "true"),
        (Line("irql.highest", comparison="above", against="limit.highest"), {"irql.highest": "APC_LEVEL"}, "unknown"),
        (Line("irql.highest", comparison="above", against="limit.highest"), {"irql.highest": "APC_LEVEL", "limit.highest": "PASSIVE_LEVEL"}, "true"),
    ],
)
def test_a_line_is_true_false_or_unknown(line: Line, facts: Facts, truth: str) -> None:
    assert compare(line, facts, TERMS) == truth


def test_a_condition_that_fails_in_one_fact_is_false_even_when_another_is_missing() -> None:
    assert holds({"memory.place": "stack", "wait.mode": "user"}, {"memory.place": "pool"}) == ("false", ())
    assert holds({"memory.place": "stack", "wait.mode": "user"}, {"memory.place": "stack"}) == ("unknown", ("wait.mode",))
    assert holds({"memory.place": ["stack", "pool"]}, {"memory.place": "pool"}) == ("true", ())


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        ("PASSIVE_LEVEL", "DISPATCH_LEVEL", "`IRQL <= DISPATCH_LEVEL`"),
        ("DISPATCH_LEVEL", "DISPATCH_LEVEL", "`IRQL = DISPATCH_LEVEL`"),
        ("DISPATCH_LEVEL", "HIGH_LEVEL", "`IRQL >= DISPATCH_LEVEL`"),
        ("PASSIVE_LEVEL", "HIGH_LEVEL", "any IRQL"),
        ("APC_LEVEL", "DIRQL", "`APC_LEVEL <= IRQL <= DIRQL`"),
    ],
)
def test_ranges_in_words(low: str, high: str, words: str) -> None:
    assert span(low, high) == words


# Where the code runs.


def test_a_routine_gives_the_level_and_the_worst_case_counts() -> None:
    judged = judge({"act": "touch", "memory.pool": "paged", "routine": "io-completion"}, KNOWLEDGE)
    assert (judged.outcome, judged.highest) == ("forbidden", "DISPATCH_LEVEL")
    assert judged.steps[0].rule == "routines/io-completion"


def test_a_held_spin_lock_raises_the_level_of_a_passive_routine() -> None:
    judged = judge({"act": "touch", "memory.pool": "paged", "routine": "driver-entry", "lock": ("spin-lock",)}, KNOWLEDGE)
    assert (judged.outcome, judged.lowest, judged.highest) == ("forbidden", "DISPATCH_LEVEL", "DISPATCH_LEVEL")


def test_a_fast_mutex_leaves_paged_pool_usable() -> None:
    judged = judge({"act": "touch", "memory.pool": "paged", "routine": "driver-entry", "lock": ("fast-mutex",)}, KNOWLEDGE)
    assert (judged.outcome, judged.highest) == ("allowed", "APC_LEVEL")


def test_the_highest_of_several_locks_counts_whatever_their_order() -> None:
    for locks in (("fast-mutex", "spin-lock"), ("spin-lock", "fast-mutex")):
        assert judge({"act": "touch", "memory.pool": "paged", "lock": locks}, KNOWLEDGE).highest == "DISPATCH_LEVEL"


def test_a_claim_against_the_documentation_is_reported_and_not_followed() -> None:
    judged = judge({"act": "touch", "memory.pool": "paged", "routine": "dpc-for-isr", **PASSIVE}, KNOWLEDGE)
    assert judged.outcome == "forbidden"
    assert [(fault.fact, fault.rule) for fault in judged.contradictions] == [("irql", "routines/dpc-for-isr")]


def test_a_claim_that_nothing_documents_gives_way_to_what_is_stated() -> None:
    claimed = {"act": "touch", "claim.lowest": "PASSIVE_LEVEL", "claim.highest": "PASSIVE_LEVEL"}
    assert decide([{**claimed, "irql.lowest": "DISPATCH_LEVEL", "irql.highest": "DISPATCH_LEVEL"}], KNOWLEDGE).pool == "nonpaged_required"
    assert decide([{**claimed, "irql.lowest": "DISPATCH_LEVEL"}], KNOWLEDGE).pool != "paged_ok"


def test_a_limit_may_have_no_lower_end() -> None:
    assert decide([{"act": "call", "limit.highest": "APC_LEVEL"}], KNOWLEDGE).max_irql == "APC_LEVEL"


def test_a_documented_callback_that_no_row_has_gives_its_level_too() -> None:
    name = next(name for name in ("EVT_HWN_CLIENT_SET_STATE", "PFN_WSK_RECEIVE_EVENT", "DRIVER_LIST_CONTROL") if KNOWLEDGE.ddis.find(name) is not None)
    ddi = KNOWLEDGE.ddis.find(name)
    assert ddi is not None
    assert judge({"act": "touch", "memory.pool": "paged", "routine": name}, KNOWLEDGE).highest == ddi.max


# Calls.


@pytest.mark.parametrize(("wait", "outcome"), [("true", "forbidden"), ("false", "allowed")])
def test_an_argument_chooses_the_row(wait: str, outcome: str) -> None:
    assert decide([{"act": "call", "ddi": "KeSetEvent", "argument.wait": wait, **DPC}], KNOWLEDGE).outcome == outcome


def test_a_missing_argument_is_asked_for_with_what_holds_in_each_case() -> None:
    verdict = decide([{"act": "call", "ddi": "KeSetEvent", **DPC}], KNOWLEDGE)
    assert (verdict.outcome, verdict.callable, verdict.unknown[0]) == ("undetermined", "conditional", "argument.wait")
    assert {(branch.value, branch.callable) for branch in verdict.branches} == {("true", "no"), ("false", "yes")}


def test_the_limit_of_a_call_is_told() -> None:
    verdict = decide([{"act": "call", "ddi": "ZwCreateFile", **DPC}], KNOWLEDGE)
    assert (verdict.callable, verdict.max_irql) == ("no", "PASSIVE_LEVEL")


# Memory over all its uses.


@pytest.mark.parametrize(
    ("uses", "proposed", "pool", "outcome"),
    [
        ([{"act": "allocate", **PASSIVE}, {"act": "touch", **PASSIVE}, {"act": "free", **PASSIVE}], "", "paged_ok", "allowed"),
        ([{"act": "allocate", **PASSIVE}, {"act": "touch", **DPC}], "paged", "nonpaged_required", "forbidden"),
        ([{"act": "allocate", **PASSIVE}, {"act": "touch", **DPC}], "nonpaged", "nonpaged_required", "allowed"),
        ([{"act": "allocate", **PASSIVE}, {"act": "free", **DPC}], "", "nonpaged_required", "allowed"),
        ([{"act": "allocate", "irql.lowest": "DIRQL", "irql.highest": "DIRQL"}], "", "not_allowed", "forbidden"),
        ([{"act": "allocate", **PASSIVE}, {"act": "touch", "irql.lowest": "DIRQL", "irql.highest": "DIRQL"}], "", "nonpaged_required", "allowed"),
        ([{"act": "allocate", **PASSIVE}, {"act": "touch"}], "", "depends", "undetermined"),
        ([{"act": "allocate", **PASSIVE}, {"act": "touch"}], "nonpaged", "depends", "undetermined"),
        ([{"act": "store", "object": "push-lock-storage"}], "", "either", "allowed"),
        ([{"act": "store", "object": "kernel-event"}], "paged", "nonpaged_required", "forbidden"),
    ],
)
def test_the_worst_use_decides_the_pool(uses: list[Facts], proposed: str, pool: str, outcome: str) -> None:
    verdict = decide(uses, KNOWLEDGE, proposed)
    assert (verdict.pool, verdict.outcome) == (pool, outcome)


def test_the_use_that_decides_is_named() -> None:
    assert decide([{"act": "allocate", **PASSIVE}, {"act": "touch", **PASSIVE}, {"act": "touch", **DPC}], KNOWLEDGE).deciding == 2


def test_memory_that_is_no_pool_has_no_pool() -> None:
    assert decide([{"act": "touch", "memory.place": "device_extension", **DPC}], KNOWLEDGE).pool == "n/a"


def test_nothing_to_judge_is_no_verdict() -> None:
    assert decide([], KNOWLEDGE).outcome == "none"


# Properties.


def some_uses() -> list[dict[str, str]]:
    """Uses drawn from every act, level, pool and place, the same ones in every run."""
    draw = random.Random(2)
    uses = []
    for _ in range(250):
        low, high = sorted(draw.choices(LEVELS, k=2), key=rank)
        use = {"act": draw.choice(["allocate", "touch", "free", "wait", "run", "store"])}
        use |= draw.choice([{}, {"irql.lowest": low, "irql.highest": high}])
        use |= draw.choice([{}, {"memory.pool": draw.choice(["paged", "nonpaged"])}, {"memory.place": draw.choice(["stack", "global", "user_buffer"])}])
        use |= draw.choice([{}, {"memory.locked": "true"}, {"io.paging": "true"}, {"wait.timeout": "zero"}, {"wait.timeout": "nonzero"}, {"code.pageable": "true"}])
        uses.append(use)
    return uses


def test_the_order_of_rules_and_facts_does_not_change_the_outcome() -> None:
    draw = random.Random(3)
    for use in some_uses():
        rules, items = list(KNOWLEDGE.rules), list(use.items())
        draw.shuffle(rules)
        draw.shuffle(items)
        one, other = judge(use, KNOWLEDGE), judge(dict(items), KNOWLEDGE._replace(rules=tuple(rules)))
        assert (one.outcome, set(one.unknown), one.highest) == (other.outcome, set(other.unknown), other.highest), use


def test_a_firm_judgement_ends_with_a_rule_of_its_outcome_and_an_open_one_names_what_it_waits_for() -> None:
    verdicts = {rule.id: rule.verdict for rule in KNOWLEDGE.rules}
    for use in some_uses():
        judged = judge(use, KNOWLEDGE)
        if judged.outcome == "undetermined":
            assert judged.unknown or judged.conditions, use
        else:
            assert verdicts[judged.steps[-1].rule] == judged.outcome, use
            assert all(step.citations for step in judged.steps), use


def test_raising_the_level_never_allows_what_was_forbidden() -> None:
    for use in some_uses():
        if "irql.highest" not in use or use["act"] == "call":
            continue
        before = judge(use, KNOWLEDGE)
        for level in LEVELS[rank(use["irql.highest"]) :]:
            after = judge({**use, "irql.highest": level}, KNOWLEDGE)
            assert not (before.outcome == "forbidden" and after.outcome == "allowed"), (use, level)


def test_the_facts_given_are_not_changed() -> None:
    use = {"act": "touch", "memory.pool": "paged", "routine": "dpc-for-isr"}
    judge(use, KNOWLEDGE)
    assert use == {"act": "touch", "memory.pool": "paged", "routine": "dpc-for-isr"}


@pytest.mark.parametrize(("version", "outcome", "limit"), [({}, "allowed", "DISPATCH_LEVEL"), ({"windows": "10"}, "allowed", "DISPATCH_LEVEL"), ({"windows": "xp"}, "forbidden", "APC_LEVEL")])
def test_a_level_of_the_past_holds_on_an_old_windows_only(version: Facts, outcome: str, limit: str) -> None:
    judged = judge({**DPC, **version, "act": "call", "ddi": "MmFreeContiguousMemory"}, KNOWLEDGE)
    assert (judged.outcome, judged.facts["limit.highest"]) == (outcome, limit)


@pytest.mark.parametrize(
    ("ddi", "routine", "callable"),
    [
        ("KeReleaseSpinLock", "work-item", "yes"),
        ("KeReleaseSpinLock", "isr", "no"),
        ("ExReleaseFastMutex", "work-item", "yes"),
        ("ExReleaseFastMutex", "dpc", "no"),
        ("IoReleaseCancelSpinLock", "cancel-routine", "yes"),
        ("KeReleaseSpinLockFromDpcLevel", "work-item", "no"),  # it does not say that the code raised its level
        ("KeReleaseSpinLockFromDpcLevel", "dpc", "yes"),
    ],
)
def test_a_lock_is_released_at_the_level_that_holding_it_forces(ddi: str, routine: str, callable: str) -> None:
    assert decide([{"act": "call", "ddi": ddi, "routine": routine}], KNOWLEDGE).callable == callable


def test_a_stated_level_counts_for_a_release_too() -> None:
    assert decide([{"act": "call", "ddi": "KeReleaseSpinLock", **PASSIVE}], KNOWLEDGE).callable == "no"
