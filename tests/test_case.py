"""A Case is read, refused with its fault, changed by patches that can be undone, and judged ask by ask."""

from __future__ import annotations

import pytest

from kb.case import CaseError, apply_patch, canonical, inverse, read_case
from kb.engine import load_knowledge
from kb.judge import judge_case

CASE = {
    "blocks": {"rec": {"memory": "pool", "pool": "paged"}, "name": {"memory": "pool", "pool": "paged"}},
    "places": {"dpc": {"routine": "dpc-for-isr"}, "work": {"routine": "work-item"}},
    "acts": {
        "a1": {"act": "touch", "place": "dpc", "block": "rec"},
        "a2": {"act": "touch", "place": "work", "block": "name"},
        "a3": {"act": "acquire", "place": "dpc", "lock": "fast-mutex"},
        "a4": {"act": "acquire", "place": "work", "lock": "fast-mutex"},
    },
    "asks": {
        "q1": {"kind": "pool", "about": "rec"},
        "q2": {"kind": "pool", "about": "name"},
        "q3": {"kind": "may", "about": "a3"},
        "q4": {"kind": "may", "about": "a4"},
    },
}


def test_opposite_verdicts_stay_apart():
    asks = judge_case(read_case(CASE), load_knowledge()).asks
    assert [asks[name].verdict.pool for name in ("q1", "q2")] == ["nonpaged_required", "paged_ok"]
    assert [asks[name].verdict.callable for name in ("q3", "q4")] == ["no", "yes"]


def test_the_order_of_acts_changes_nothing():
    turned = {**CASE, "acts": dict(reversed(CASE["acts"].items()))}
    one, other = (judge_case(read_case(case), load_knowledge()).asks for case in (CASE, turned))
    assert {name: ask.verdict for name, ask in one.items()} == {name: ask.verdict for name, ask in other.items()}


def test_what_nobody_asked_is_reported():
    alone = {**CASE, "asks": {"q4": CASE["asks"]["q4"]}}
    assert {one.about for one in judge_case(read_case(alone), load_knowledge()).also} >= {"a3", "rec"}


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ({"acts": {"a": {"act": "tuch"}}}, "did you mean 'touch'"),
        ({"acts": {"a": {"act": "touch", "place": "p"}}, "places": {"pq": {}}}, "there is no place 'p'; did you mean 'pq'?"),
        ({"blocks": {"b": {"memry": "pool"}}}, "did you mean 'memory'"),
    ],
)
def test_a_fault_is_named(case, message):
    with pytest.raises(CaseError, match="acts|blocks") as caught:
        read_case(case)
    assert message in str(caught.value)


@pytest.mark.parametrize("patch", [[{"op": "remove", "path": "/asks/q2"}], [{"op": "add", "path": "/acts/a1/facts/memory.locked", "value": "true"}]])
def test_a_patch_and_its_inverse_give_the_same_bytes(patch):
    case = read_case(CASE)
    changed = apply_patch(case, patch)
    assert canonical(changed) != canonical(case)
    back = apply_patch(changed, inverse(case, patch))
    assert canonical(back) == canonical(case) and list(back.asks) == list(case.asks)
