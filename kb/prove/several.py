"""Questions of several uses: hypothesis draws them, the verdicts on their single uses say what must come out."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from kb.engine import Facts, Knowledge, Value, decide
from kb.prove.profiles import STATED, Use, ddi_classes, lock_classes, object_classes, routine_classes, values_of
from kb.prove.properties import Finding

WORST_POOL = {"paged_ok": 0, "either": 0, "depends": 1, "nonpaged_required": 2, "not_allowed": 3}
WORST_CALL = {"n/a": -1, "yes": 0, "conditional": 1, "no": 2}
FLAGS = ("memory.locked", "memory.freed", "memory.overrun", "io.paging", "wait.timeout", "wait.mode", "execution.level", "caller", "operation.synchronized", "apcs")


def uses_of(knowledge: Knowledge) -> st.SearchStrategy[Use]:
    """One use: an act, a place, and facts that may matter to it."""
    routines = [rows[0].id for rows in routine_classes(knowledge).values()]
    locks = [rows[0].id for rows in lock_classes(knowledge).values()]
    objects = [rows[0].id for rows in object_classes(knowledge).values()]
    ddis = [rows[0].name for rows in ddi_classes(knowledge).values()][::7]

    @st.composite
    def one(draw: st.DrawFn) -> Use:
        act = draw(st.sampled_from(("allocate", "touch", "touch", "free", "store", "call", "acquire", "wait", "run")))
        use: dict[str, Value] = {"act": act, **draw(st.sampled_from(STATED))}
        if draw(st.booleans()):
            use["routine"] = draw(st.sampled_from(routines))
        held = draw(st.lists(st.sampled_from(locks), max_size=2, unique=True))
        if held:
            use["lock"] = tuple(held)
        if act == "store":
            use["object"] = draw(st.sampled_from(objects))
        if act == "call":
            use["ddi"] = draw(st.sampled_from(ddis))
        if act == "acquire":
            use["acquired"] = draw(st.sampled_from(locks))
        if act == "run":
            use["code.pageable"] = draw(st.sampled_from(("true", "false")))
        for name in draw(st.lists(st.sampled_from(FLAGS), max_size=3, unique=True)):
            use[name] = draw(st.sampled_from(values_of(knowledge, name)))
        return use

    return one()


def worst_of(uses: Sequence[Facts], knowledge: Knowledge) -> tuple[str, str]:
    """The worst pool and the worst callable over the verdicts on single uses."""
    alone = [decide([use], knowledge, explore=False) for use in uses]
    pools = [one.pool for one in alone if one.pool != "n/a"]
    pool = max(pools, key=lambda name: WORST_POOL[name]) if pools else "n/a"
    if pool in ("paged_ok", "either"):
        pool = "either" if all(name == "either" for name in pools) else "paged_ok"
    return pool, max((one.callable for one in alone), key=lambda name: WORST_CALL[name])


def check_several(knowledge: Knowledge, count: int, seed: int) -> list[Finding]:
    """
    Property-based tests of questions with several uses.

    Args:
        knowledge: Rules and tables.
        count: Questions drawn for each property.
        seed: For the draw.

    Returns:
        One finding a property.
    """
    worst, order, more = Finding("the worst use decides"), Finding("the order of uses does not matter"), Finding("a further use keeps a nonpaged requirement")
    uses = st.lists(uses_of(knowledge), min_size=2, max_size=4)
    settled = settings(max_examples=count, deadline=None, database=None, derandomize=False, suppress_health_check=list(HealthCheck))

    @seeded(seed)
    @settled
    @given(uses)
    def worst_decides(asked: list[Use]) -> None:
        worst.points += 1
        verdict = decide(asked, knowledge, explore=False)
        expected = worst_of(asked, knowledge)
        assert (verdict.pool, verdict.callable) == expected, f"{asked}: {(verdict.pool, verdict.callable)}, its single uses {expected}"

    @seeded(seed)
    @settled
    @given(st.data())
    def order_is_free(data: st.DataObject) -> None:
        order.points += 1
        asked = data.draw(uses)
        shuffled = data.draw(st.permutations(asked))
        one, other = decide(asked, knowledge, explore=False), decide(shuffled, knowledge, explore=False)
        same = ("outcome", "pool", "callable")
        assert [getattr(one, name) for name in same] == [getattr(other, name) for name in same], f"{asked} in another order"
        assert set(one.unknown) == set(other.unknown), f"{asked} asks {one.unknown}, in another order {other.unknown}"

    @seeded(seed)
    @settled
    @given(uses, uses_of(knowledge))
    def further_use(asked: list[Use], added: Use) -> None:
        more.points += 1
        one, other = decide(asked, knowledge, explore=False), decide([*asked, added], knowledge, explore=False)
        if one.pool in ("nonpaged_required", "not_allowed"):
            assert other.pool in ("nonpaged_required", "not_allowed"), f"{asked} is {one.pool}; with {added} {other.pool}"
        if one.callable == "no":
            assert other.callable == "no", f"{asked} is not callable; with {added} {other.callable}"

    for finding, test in ((worst, worst_decides), (order, order_is_free), (more, further_use)):
        try:
            test()
        except AssertionError as fault:
            finding.violations.append(f"{finding.name}: {fault}")
    return [worst, order, more]
