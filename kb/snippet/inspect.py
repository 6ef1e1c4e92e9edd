"""Events of a snippet's paths in, findings out: every call, touch, allocation, free and lock judged where it happens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kb.engine import Facts, Judgement, Knowledge, Step, judge, remedy_for, span
from kb.snippet.checks import Check, Checks
from kb.snippet.comments import told_pools
from kb.snippet.locks import Locks
from kb.snippet.memory import Memory
from kb.snippet.parse import root_variable, strip
from kb.snippet.roles import Roles, events_of
from kb.snippet.tree import Assign, Call, Event, Function, Touch, Unit
from kb.snippet.walk import FALSY, TRUTHY, Block, Held, State, Walker
from kb.terms import Citation, rank

UNICODE_FORMAT = re.compile(r"%[-+ #0-9.*]*(?:C|S|lc|ls|wc|ws|wZ|lC|lS)")
TOLD_ASSUMPTIONS = ("execution.level", "operation.synchronized", "caller", "interrupt.passive")
KEYWORDS = frozenset({"sizeof", "defined", "__except", "return", "if", "while"})


@dataclass(frozen=True)
class SnippetFinding:
    """Something certainly wrong at one line."""

    rule: str
    """Id of the deciding rule, or of the check in snippet_checks.yaml."""
    line: int
    message: str
    fix: str
    citations: tuple[Citation, ...]
    steps: tuple[Step, ...]
    limit: tuple[str, str] | None = None
    """Lowest and highest IRQL documented for the call that is wrong, with its arguments; None when the finding is not of such a call."""


class Inspector(Locks, Memory):
    """Judges the events of one function after the other; findings of all of them gather here."""

    def __init__(self, unit: Unit, roles: Roles, knowledge: Knowledge, checks: Checks, functions: Mapping[str, Function]) -> None:
        """Start with nothing found."""
        self.unit, self.roles, self.knowledge, self.checks, self.functions = unit, roles, knowledge, checks, functions
        self.data = checks.data
        self.rules = {rule.id: rule for rule in knowledge.rules}
        self.findings: dict[tuple[str, int], SnippetFinding] = {}
        self.uses: list[Facts] = []
        self.facts: list[tuple[str, str, str]] = []
        self.callers: dict[str, list[dict[str, Any]]] = {}
        self.memory_uses: dict[int, tuple[Block, list[Facts]]] = {}
        self.judged: dict[frozenset[tuple[str, Any]], Judgement] = {}
        self.number = 0
        self.blamed: set[object] = set()
        self.walker: Walker | None = None
        self.handed: dict[str, tuple[int, Block]] = {}
        self.told = [one for one in told_pools(unit.source, self.pool_of_argument) if one.pool == "paged"]  # nonpaged memory has no fault to find

    # -- one function ---------------------------------------------------------------------------------------------

    def enter(self, function: Function, places: list[dict[str, Any]], pageable: str) -> State:
        """Begin a function: its places, its parameters, and what its role has acquired before."""
        self.function, self.places, self.pageable = function, places, pageable
        self.stack: dict[str, tuple[str, bool]] = {}
        self.released_here: set[str] = set()
        self.helpers: list[Call] = []
        self.fresh: tuple[str, int] = ("", 0)
        words = self.roles.words.get(function.name, "")
        for place in places:
            if "routine" in place:
                self.facts.append(("routine", str(place["routine"]), words or ("the question" if function.fragment else f"`{function.name}`")))
        if pageable and not function.fragment:
            self.facts.append(("code.pageable", "true", f"`{function.name}`: {pageable}"))
            self.run_pageable(State(), function.line, "")
            if "PAGED_CODE" not in self.called(function) and "PAGED_CODE_LOCKED" not in self.called(function):
                self.advise("paged_code_missing", f"`{function.name}`, line {function.line}")
        if any(place.get("routine") == "cancel-routine" for place in places) and not function.fragment:
            return self.with_told(State(held=(Held("cancel-spin-lock", "", "the I/O manager", function.line, "CancelIrql", given=True),)))
        return self.taken_over(function, self.with_told(State()))

    def with_told(self, state: State) -> State:
        """The state with the blocks that comments speak of throughout."""
        for told in self.told:
            if not told.here:
                state = state.with_block(told.variable, *self.told_block(told))
        return state

    def called(self, function: Function) -> list[str]:
        """Names of everything a function calls."""
        return [event.name for event in events_of(function.body) if isinstance(event, Call)]

    def act(self, event: Event, states: list[State]) -> list[State]:
        """Let one event happen on every path."""
        if isinstance(event, Call):
            return self.call(event, states)
        if isinstance(event, Assign):
            return self.assign(event, states)
        if isinstance(event, Touch):
            self.touch(event.variable, event.line, states)
            return states
        self.stack[event.name] = (event.type, event.pointer)
        return [state.without(event.name) if state.block(event.name) else state for state in states]

    # -- judging --------------------------------------------------------------------------------------------------

    def use(self, place: Mapping[str, Any], state: State, **facts: Any) -> dict[str, Any]:
        """The facts of something done on a path."""
        locks = {one.row for one in state.held if one.row not in self.data["unsure_locks"] and self.raises(one)}
        given = place.get("lock") or ()
        locks |= set(given if isinstance(given, tuple) else (given,))
        use = {**place, **{name.replace("__", "."): value for name, value in facts.items()}}
        if place.get("routine") == "cancel-routine" and not any(one.given for one in state.held):
            use.pop("routine")  # from here on at the IRQL that the IRP was canceled at
        use.pop("lock", None)
        if locks:
            use["lock"] = tuple(sorted(locks))
        for one in state.held:
            row = self.knowledge.terms.row("locks", one.row)
            if row is not None and row.more.get("apcs") in ("normal_disabled", "all_disabled") and use.get("apcs") != "all_disabled":
                use["apcs"] = row.more["apcs"]
        return use

    def raises(self, held: Held) -> bool:
        """Whether holding the lock forces a raised IRQL; one that does not says nothing of the place."""
        row = self.knowledge.terms.row("locks", held.row)
        return row is not None and bool(row.more.get("held")) and rank(row.more["held"]["lowest"]) > 0

    def verdict(self, use: Facts) -> Judgement:
        """The engine's judgement, made once a use."""
        key = frozenset(use.items())
        if key not in self.judged:
            self.judged[key] = judge(use, self.knowledge)
            if use.get("act") != "run":
                self.uses.append(use)
        return self.judged[key]

    def forbidden(self, states: Sequence[State], **facts: Any) -> tuple[Judgement, State] | None:
        """The first path and place on which something is certainly forbidden."""
        seen = []
        for state in states:
            if (signature := (state.held,)) in seen:
                continue
            seen.append(signature)
            for place in self.places:
                one = self.verdict(self.use(place, state, **facts))
                if one.outcome == "forbidden" and all(fault.rule.startswith("locks/") or fault.fact == "apcs" for fault in one.contradictions):
                    return one, state
        return None

    def where(self, state: State, judgement: Judgement) -> str:
        """The place of a judgement in words."""
        parts = []
        for one in state.held:
            row = self.knowledge.terms.row("locks", one.row)
            raised = row.more.get("held") if row else None
            if row is not None and one.row not in self.data["unsure_locks"] and (raised or row.more.get("apcs") == "all_disabled"):
                taken = f"`{one.ddi}`, line {one.line}" if not one.given else "acquired by the I/O manager"
                parts.append(f"while {row.title} is held ({taken})" if "region" not in row.id and "raised" not in row.id else f"after {taken}")
        routine = self.knowledge.terms.row("routines", str(judgement.facts.get("routine", "")))
        if routine is not None and not parts:
            parts.append(f"in {routine.title}")
        given = judgement.facts.get("lock")
        if not parts and given:
            rows = [self.knowledge.terms.row("locks", name) for name in (given if isinstance(given, tuple) else (given,))]
            parts += [f"while {row.title} is held" for row in rows if row is not None]
        levels = f"at {span(judgement.lowest, judgement.highest)}" if judgement.lowest and judgement.highest else ""
        return ", ".join([*parts, levels] if levels else parts)

    def report(self, judgement: Judgement, line: int, message: str) -> None:
        """Keep a finding that a rule decided."""
        step = judgement.steps[-1]
        rule = self.rules.get(step.rule)
        terms = self.knowledge.terms.facts
        assumed = [terms[name].labels.get(value, value) for name, value in judgement.assumed.items() if name in TOLD_ASSUMPTIONS and name in terms]
        if assumed:
            message += f" (assuming {', '.join(assumed)})"
        citations = tuple(dict.fromkeys(one for step in judgement.steps for one in step.citations))
        fix = (remedy_for(rule, judgement.facts, self.knowledge.terms) or " ".join(rule.title.split())) if rule is not None else step.says
        limits = (judgement.facts.get("limit.lowest"), judgement.facts.get("limit.highest"))
        limit = (str(limits[0]), str(limits[1])) if step.rule.startswith("ddi-called") and all(limits) else None
        self.findings.setdefault((step.rule, line), SnippetFinding(step.rule, line, message + ".", fix, citations, judgement.steps, limit))

    def find(self, kind: str, line: int, message: str, check: Check | None = None) -> None:
        """Keep a finding of a structural check."""
        check = check or self.checks.one(kind)
        step = Step(check.id, f"{check.title}. {check.rationale}", (), check.citations)
        self.findings.setdefault((check.id, line), SnippetFinding(check.id, line, f"{message}. {check.rationale}", check.fix, check.citations, (step,)))

    def advise(self, kind: str, words: str) -> None:
        """Keep a fact that is advice."""
        check = self.checks.one(kind)
        self.facts.append(("advice", check.id, f"{check.title} ({words}). {check.fix}"))

    def run_pageable(self, state: State, line: int, words: str) -> None:
        """Judge that the function's pageable code runs on here."""
        if not self.pageable or self.function.fragment or ("run", self.function.name) in self.blamed:
            return
        found = self.forbidden([state], act="run", code__pageable="true")
        if found is not None:
            self.blamed.add(("run", self.function.name))
            self.report(found[0], line, f"`{self.function.name}` is pageable ({self.pageable}) and runs {self.where(state, found[0])}{words}")

    # -- calls ----------------------------------------------------------------------------------------------------

    def call(self, call: Call, states: list[State]) -> list[State]:
        """One call: what it does to locks and memory, and whether it is allowed here."""
        name = call.name
        if name in KEYWORDS or not re.match(r"[A-Za-z_]\w*$", name):
            return states
        if name in ("PAGED_CODE", "PAGED_CODE_LOCKED"):
            if name == "PAGED_CODE" and self.pageable:
                for state in states:
                    self.run_pageable(state, call.line, "")
            return states
        ddi = self.knowledge.ddis.find(name)
        local = name in self.functions and name != self.function.name
        if ddi is not None and ddi.kind == "callback" and ddi.role == "implemented_by_driver":
            ddi = None
        known = ddi is not None and not local or name in self.data["touches"] or name in self.checks.acquires or name in self.checks.releases
        for variable in self.touched(call):
            self.touch(variable, call.line, states)
        states = [self.after_arguments(call, state) for state in states]
        if name in self.checks.acquires:
            return self.acquire(call, states)
        if name in self.checks.releases:
            return self.release(call, states)
        if name in self.checks.frees and call.arguments and self.is_free(call):
            return self.free(call, states)
        if (handled := self.allocate(call, states)) is not None:
            return handled
        if local:
            self.note_caller(call, states)
        if not known:
            return self.helper(call, states)
        self.store(call, states)
        before = len(self.findings)
        self.judge_call(call, states)
        self.special(call, states if len(self.findings) == before else [])
        return states

    def after_arguments(self, call: Call, state: State) -> State:
        """What a call may have changed through its arguments: nothing that was known of them still is."""
        for argument in call.arguments:
            text = strip(argument)
            if not (name := root_variable(text)):
                continue
            if text == f"&{name}" and call.name not in self.data["waits"]:
                state = state.without(name)
            elif any(f"{name}->" in known for known, _ in state.truths):
                state = replace(state, truths=tuple(one for one in state.truths if f"{name}->" not in one[0]))
        return state

    def note_caller(self, call: Call, states: Sequence[State]) -> None:
        """Remember from where a function of the snippet is called."""
        for state in states:
            for place in self.places:
                callers = self.callers.setdefault(call.name, [])
                if (here := self.use(place, state)) not in callers and here and len(callers) < 6:
                    callers.append(here)

    def argument_facts(self, call: Call, state: State) -> dict[str, Any]:
        """Facts that the arguments of a call state."""
        facts: dict[str, Any] = {}
        for entry in self.checks.arguments.get(call.name, ()):
            position = int(entry["position"])
            if position >= len(call.arguments):
                continue
            written = strip(call.arguments[position])
            value = entry["values"].get(written) or entry["values"].get(written.upper())
            if value is None and entry["fact"] == "wait.timeout":
                value = {"zero": "zero", "nonzero": "nonzero"}.get(state.value(root_variable(written)))
            if value is not None:
                facts[entry["fact"]] = str(value)
        if call.name == "KeDelayExecutionThread" and len(call.arguments) == 3:
            value = state.value(root_variable(call.arguments[2]))
            facts |= {"wait.timeout": value} if value in ("zero", "nonzero") else {}
        ddi = self.knowledge.ddis.find(call.name)
        if ddi is not None and any("unicode.conversion" in row.when for row in ddi.rows):
            texts = " ".join(re.findall(r'"((?:[^"\\]|\\.)*)"', call.text))
            if texts:
                facts["unicode.conversion"] = "true" if UNICODE_FORMAT.search(texts.replace("%%", "")) else "false"
        if call.arguments and (mdl := dict(state.values).get(root_variable(call.arguments[0]), "")).startswith("mdl:"):
            facts["mdl.target"] = {"nonpaged": "resident", "paged": "pageable"}.get(mdl[4:], "")
            facts = {name: value for name, value in facts.items() if value}
        return facts

    def judge_call(self, call: Call, states: Sequence[State]) -> None:
        """Judge a call of a documented routine under what is known of its arguments."""
        for state in states:
            facts = {name.replace(".", "__"): value for name, value in self.argument_facts(call, state).items()}
            acts = ("wait", "call") if call.name in self.data["waits"] and "wait__timeout" in facts else ("call",)
            for act in acts:
                more = {"ddi": call.name} if act == "call" else {}
                found = self.forbidden([state], act=act, **more, **facts)
                if found is None:
                    continue
                one = found[0]
                below = one.steps[-1].rule == "ddi-called-below-its-minimum"
                if below and call.name not in self.data["minimum_counts"]:
                    continue
                message = f"`{call.name}` is called {self.where(state, one)}".rstrip()
                if act == "wait":
                    message += ", and its time-out lets it wait"
                elif one.steps[-1].rule.startswith("ddi-called"):
                    given = "with these arguments " if any(row.when for row in one.rows) else ""
                    message += f"; {given}it is documented for {span(str(one.facts.get('limit.lowest', 'PASSIVE_LEVEL')), str(one.facts.get('limit.highest', 'HIGH_LEVEL')))}"
                else:
                    message += f": {one.steps[-1].says[:1].lower()}{one.steps[-1].says[1:].rstrip('.')}"
                self.report(one, call.line, message)
                return

    def special(self, call: Call, states: Sequence[State]) -> None:
        """Structural checks of single calls."""
        for check in self.checks.by_kind["wait_in_pageable"]:
            if call.name in check.more["ddis"] and self.pageable and len(call.arguments) > 2 and strip(call.arguments[2]) in TRUTHY:
                self.find("", call.line, f"`{self.function.name}` is pageable ({self.pageable}) and calls `{call.name}` with `Wait` = TRUE", check)
        if call.name == "MmBuildMdlForNonPagedPool" and call.arguments:
            targets = {state.value(root_variable(call.arguments[0])) for state in states}
            if targets == {"mdl:paged"}:
                self.find("nonpaged_mdl", call.line, f"The MDL given to `{call.name}` describes paged pool")
            elif targets == {"mdl:stack"}:
                self.find("nonpaged_mdl_stack", call.line, f"The MDL given to `{call.name}` describes a buffer on the stack")

    def helper(self, call: Call, states: list[State]) -> list[State]:
        """A routine of the driver's own: it may release what is held when its name or its code says so."""
        self.helpers.append(call)
        name = call.name.lower()
        body = self.functions.get(call.name)
        touches_locks = body is not None and any(one in self.checks.acquires or one in self.checks.releases for one in self.called(body)) and not self.balanced(body)
        if touches_locks or any(word in name for word in self.data["releasing_words"]):
            return [replace(state, held=(), unsure=True, released=()) if state.held or state.released else state for state in states]
        return states

    def balanced(self, function: Function) -> bool:
        """Whether a function acquires as often as it releases, by its text."""
        names = self.called(function)
        return sum(one in self.checks.acquires for one in names) == sum(one in self.checks.releases for one in names) and not function.name.startswith("Release")


__all__ = ["FALSY", "Inspector", "SnippetFinding"]
