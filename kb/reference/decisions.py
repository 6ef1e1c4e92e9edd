"""The engine in, the decision table out: what is allowed at which IRQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kb.engine import OUTSIDE_POOL, Facts, Knowledge, judge
from kb.reference.markdown import page, table
from kb.terms import LEVELS

SIGNS = {"allowed": "yes", "forbidden": "**no**", "undetermined": "depends"}


def decision_table(knowledge: Knowledge) -> str:
    """
    What is allowed at which IRQL, computed by the engine point by point.

    Args:
        knowledge: Rules and tables.

    Returns:
        The page.
    """

    def at(level: str) -> dict[str, str]:
        return {"irql.lowest": level, "irql.highest": level}

    def grid(columns: Sequence[tuple[str, dict[str, str]]], levels: Sequence[str] = LEVELS, more: Mapping[str, str] | None = None) -> list[str]:
        rows = [[f"`{level}`", *(judged({**at(level), **use, **(more or {})}, knowledge) for _, use in columns)] for level in levels]
        return table(("IRQL", *(name for name, _ in columns)), rows)

    pools = [("paged", {"memory.pool": "paged"}), ("nonpaged", {"memory.pool": "nonpaged"})]
    lines = [
        "Each cell was computed by running the engine on that one point; it links to the rule that decides. Code that can run at several "
        "levels is judged at the highest. An allocation needs a yes for everything that is done with it: allocating, each access, freeing.",
        "",
        "## Pool",
        "",
    ]
    lines += grid(
        [(f"{act} {pool}", {"act": act, **use}) for act in ("allocate", "touch", "free") for pool, use in pools]
        + [("touch paged, locked", {"act": "touch", "memory.pool": "paged", "memory.locked": "true"})]
    )
    lines += ["", "## Memory that is not from pool: may it be touched?", ""]
    places = {place: knowledge.terms.facts["memory.place"].labels[place] for place in OUTSIDE_POOL}
    lines += grid(
        [(label, {"act": "touch", "memory.place": place}) for place, label in places.items() if place != "stack"]
        + [(f"{places[place]}, locked", {"act": "touch", "memory.place": place, "memory.locked": "true"}) for place in ("user_buffer", "paged_section")]
        + [
            (f"{places['stack']}, during a wait in {mode}", {"act": "touch", "memory.place": "stack", "wait.mode": value})
            for mode, value in (("KernelMode", "kernel"), ("UserMode", "user"))
        ]
    )
    lines += ["", "## Waiting and running", ""]
    lines += grid(
        [
            ("wait that may block", {"act": "wait", "wait.timeout": "nonzero"}),
            ("wait with a zero time-out", {"act": "wait", "wait.timeout": "zero"}),
            ("run pageable code", {"act": "run", "code.pageable": "true"}),
            ("run resident code", {"act": "run", "code.pageable": "false"}),
        ]
    )
    lines += ["", "## In the paging path", "", "Code that serves paging I/O, below `DISPATCH_LEVEL`:", ""]
    lines += grid(
        [
            ("touch paged pool", {"act": "touch", "memory.pool": "paged"}),
            ("touch nonpaged pool", {"act": "touch", "memory.pool": "nonpaged"}),
            ("run pageable code", {"act": "run", "code.pageable": "true"}),
        ],
        LEVELS[:2],
        {"io.paging": "true"},
    )
    return page("kb/knowledge/ by running kb.engine", "IRQL, act and pool: the decision table", lines)


def judged(use: Facts, knowledge: Knowledge) -> str:
    """The outcome of one use as a cell, with a link to the deciding rule."""
    result = judge(use, knowledge)
    rule = result.steps[-1].rule if result.steps and result.outcome != "undetermined" else ""
    sign = SIGNS[result.outcome]
    return f"[{sign}]({rule}.md)" if rule else f"{sign} on {', '.join(f'`{name}`' for name in result.unknown)}"
