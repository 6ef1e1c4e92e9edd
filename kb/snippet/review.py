"""A snippet's text and the prose's places in, a review out: findings with their proof, uses, facts, and the pool it gets right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kb.engine import Facts, Knowledge, Step, judge, pool_of, with_pool
from kb.snippet.checks import load_checks
from kb.snippet.inspect import Inspector, SnippetFinding
from kb.snippet.parse import parse
from kb.snippet.roles import Roles
from kb.snippet.tree import Function, Unit
from kb.snippet.walk import State, Walker


@dataclass(frozen=True)
class Review:
    """What there is to say about a snippet."""

    findings: tuple[SnippetFinding, ...]
    """By line."""
    uses: tuple[Mapping[str, str | tuple[str, ...]], ...]
    """Everything the code does, as facts that the engine judges."""
    facts: tuple[tuple[str, str, str], ...]
    """Name, value and the words it was read from; `advice` for what is not wrong but could be better."""
    pool: str
    """`nonpaged_required`, `paged_ok`, `not_allowed`, `depends`, or `n/a` when the code allocates nothing."""


def is_pageable(function: Function, unit: Unit, calls: Sequence[str]) -> str:
    """
    Why a function's code is pageable.

    Args:
        function: The function.
        unit: Its snippet, with the sections that pragmas name.
        calls: Names of all that it calls.

    Returns:
        The reason in words; empty when nothing says that it is.
    """
    section = unit.sections.get(function.name) or function.section
    if section:
        return f"`{section}` section" if section.upper().startswith("PAGE") else ""
    if "PAGED_CODE" in calls and not unit.sections:
        return "`PAGED_CODE()`"
    return ""


def review(code: str, prose_uses: Sequence[Mapping[str, Any]], knowledge: Knowledge) -> Review:
    """
    Review pasted driver code.

    Args:
        code: C or C++ as pasted: functions, a fragment, or both.
        prose_uses: Uses read from the question's prose: the caller's place (`routine`, `irql.lowest`, `lock`, ...) and side facts.
        knowledge: Rules and tables.

    Returns:
        The review. Findings are only what is certain; what a missing fact would decide gives none. Never raises on any text.
    """
    checks = load_checks()
    unit = parse(code)
    roles = Roles(unit, prose_uses, knowledge, checks)
    stated = next((str(use["code.pageable"]) for use in prose_uses if "code.pageable" in use), "")
    functions = unit.functions
    own = {function.name: bool(roles.own(function)) for function in functions}
    homeless = [function for function in functions if not own[function.name]]
    inspector = Inspector(unit, roles, knowledge, checks, {function.name: function for function in functions})
    waiting = sorted(functions, key=lambda one: not own[one.name])
    names = {function.name: set(inspector.called(function)) for function in functions}
    done: set[str] = set()
    for _ in range(len(waiting)):
        left = [one for one in waiting if one.name not in done]
        if not left:
            break
        called = {name for one in left for name in names[one.name] if name != one.name}
        function = next((one for one in left if own[one.name]), None) or next((one for one in left if one.name not in called), left[0])
        done.add(function.name)
        pageable = is_pageable(function, unit, inspector.called(function))
        if not pageable and stated == "true" and len(functions) == 1 and not function.fragment:
            pageable = "pageable, as you say"
        alone = len(homeless) == 1 and function in homeless
        walk(function, roles.places(function, bool(pageable), inspector.callers.get(function.name, ()), alone), "" if stated == "false" else pageable, inspector)
    findings = tuple(sorted(inspector.findings.values(), key=lambda one: (one.line, one.rule)))
    return Review(findings, tuple(inspector.uses), tuple(dict.fromkeys(inspector.facts)), pool_verdict(inspector, knowledge))


def walk(function: Function, places: list[dict[str, Any]], pageable: str, inspector: Inspector) -> None:
    """Walk one function with all its paths, then look at what its exits still hold."""
    start = inspector.enter(function, places, pageable)
    walker = Walker(inspector.act)
    inspector.walker = walker
    after: list[State] = walker.block(function.body, [start])
    walker.exits += [(function.last, state) for state in after]
    inspector.leave(walker)


def pool_verdict(inspector: Inspector, knowledge: Knowledge) -> str:
    """The pool that the code's memory must come from, over every use of every block it allocates."""
    answers = []
    for block, uses in inspector.memory_uses.values():
        if block.pool not in ("paged", "nonpaged") or block.place:
            continue
        verdict = judged_pool(uses, knowledge)
        if verdict in ("nonpaged_required", "not_allowed"):
            answers.append(verdict)
        else:
            answers.append("nonpaged_required" if block.pool == "nonpaged" else "paged_ok")
    for wanted in ("not_allowed", "nonpaged_required", "paged_ok"):
        if wanted in answers:
            return wanted
    return "n/a"


def judged_pool(uses: Sequence[Facts], knowledge: Knowledge) -> str:
    """What the engine says of one block's uses."""
    paged = [judge(with_pool(use, "paged"), knowledge) for use in uses]
    nonpaged = [judge(with_pool(use, "nonpaged"), knowledge) for use in uses]
    return pool_of(paged, nonpaged)


__all__ = ["Review", "SnippetFinding", "Step", "review"]
