"""Statements in, the states of every path out: locks held, blocks allocated, what conditions are known to be."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from kb.snippet.parse import strip
from kb.snippet.tree import Do, Event, If, Label, Leave, Loop, Statement, Switch, Try

MAX_STEPS = 3000  # statements walked, over all rounds of all loops
MAX_TRUTHS = 40  # conditions remembered on one path
MAX_STATES = 24  # paths kept apart; beyond, what must hold on all paths is no longer claimed
FALSY = ("NULL", "0", "FALSE", "false", "nullptr")
TRUTHY = ("TRUE", "true", "1")
SIMPLE = re.compile(r"^[\w.>\-\[\]]+$|^\w+\([^()]*\)$")


@dataclass(frozen=True)
class Held:
    """A lock held or a region entered."""

    row: str
    key: str
    ddi: str
    line: int
    saved: str = ""
    given: bool = False
    """Whether the caller acquired it, as the cancel spin lock of a Cancel routine."""


@dataclass(frozen=True)
class Block:
    """Memory that a variable points to."""

    pool: str
    ddi: str
    line: int
    row: str = ""
    place: str = ""
    tag: str = ""
    freed: int = 0
    words: str = ""


@dataclass(frozen=True)
class State:
    """What holds on one path. Immutable: paths share what they have in common."""

    held: tuple[Held, ...] = ()
    variables: tuple[tuple[str, int], ...] = ()
    blocks: tuple[tuple[int, Block], ...] = ()
    truths: tuple[tuple[str, bool], ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    released: tuple[tuple[str, int], ...] = ()
    unsure: bool = False
    """Whether a routine was called that may release what is held."""

    def block(self, variable: str) -> tuple[int, Block] | None:
        """The block that a variable points to."""
        number = dict(self.variables).get(variable)
        return None if number is None else (number, dict(self.blocks)[number])

    def with_block(self, variable: str, number: int, block: Block) -> State:
        """The state with a variable pointing to a block."""
        blocks = {**dict(self.blocks), number: block}
        return replace(self, variables=pairs({**dict(self.variables), variable: number}), blocks=tuple(sorted(blocks.items(), key=lambda one: one[0])))

    def without(self, variable: str) -> State:
        """The state in which nothing is known of a variable any more."""
        if not variable:
            return self
        mention = re.compile(rf"\b{re.escape(variable)}\b")
        return replace(
            self,
            variables=tuple(one for one in self.variables if one[0] != variable),
            truths=tuple(one for one in self.truths if not mention.search(one[0])),
            values=tuple(one for one in self.values if one[0] != variable),
        )

    def value(self, variable: str) -> str:
        """What is known of a variable's value: `zero` or `nonzero` for a time-out, else a constant; empty when nothing is."""
        return dict(self.values).get(variable, "")


def pairs(mapping: dict[str, int]) -> tuple[tuple[str, int], ...]:
    """A mapping as sorted pairs."""
    return tuple(sorted(mapping.items()))


def unique(states: Sequence[State]) -> list[State]:
    """States without repetitions, in order."""
    return list(dict.fromkeys(states))


def split_top(text: str, mark: str) -> list[str]:
    """Parts of an expression between operators that stand outside all parentheses."""
    parts, depth, start, at = [], 0, 0, 0
    while at < len(text):
        letter = text[at]
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0 and text.startswith(mark, at):
            parts.append(text[start:at])
            at += len(mark)
            start = at
            continue
        at += 1
    return [*parts, text[start:]]


def atom(text: str) -> tuple[str, bool]:
    """A condition as a bare expression and the truth that the condition gives it."""
    text, wanted = strip(text), True
    for _ in range(8):
        if text.startswith("!") and not text.startswith("!="):
            text, wanted = strip(text[1:]), not wanted
            continue
        for mark in ("==", "!="):
            sides = split_top(text, mark)
            if len(sides) == 2:
                left, right = strip(sides[0]), strip(sides[1])
                if left in FALSY or left in TRUTHY:
                    left, right = right, left
                if right in FALSY or right in TRUTHY and mark == "==":
                    wanted = wanted == ((right in TRUTHY) == (mark == "=="))
                    text = left
                    break
                if mark == "!=" and SIMPLE.match(left):
                    return f"{left} == {right}", not wanted
        else:
            break
    assigned = re.match(r"^(\w+)\s*=(?!=)", text)
    return (assigned.group(1) if assigned else text), wanted


def assume(state: State, test: str, wanted: bool) -> State | None:
    """
    The state once a condition turned out true or false.

    Args:
        state: Before the condition.
        test: The condition as written.
        wanted: How it turned out.

    Returns:
        The state with what follows, None when the path is impossible.
    """
    text = strip(test)
    for mark, joint in (("||", False), ("&&", True)):
        parts = split_top(text, mark)
        if len(parts) > 1:
            if wanted is joint:
                for part in parts:
                    after = assume(state, part, wanted)
                    if after is None:
                        return None
                    state = after
            return state
    bare, truth = atom(text)
    if text.startswith("!") and len(split_top(bare, "&&")) + len(split_top(bare, "||")) > 2:
        return assume(state, bare, truth == wanted)
    truth = truth == wanted
    if bare in TRUTHY or bare in FALSY:
        return state if (bare in TRUTHY) == truth else None
    known = dict(state.truths)
    if bare in known:
        return state if known[bare] == truth else None
    if len(bare) > 200 or len(known) >= MAX_TRUTHS or "(" in bare and not bare.startswith("NT_SUCCESS("):
        return state  # what a call returns may differ the next time
    known[bare] = truth
    state = replace(state, truths=tuple(sorted(known.items())))
    if not truth and state.block(bare) is not None:  # the allocation failed: there is no block
        state = replace(state, variables=tuple(one for one in state.variables if one[0] != bare))
    return state


@dataclass
class Walker:
    """Walks a function's statements with all states at once."""

    act: Callable[[Event, list[State]], list[State]]
    exits: list[tuple[int, State]] = field(default_factory=list)
    jumps: dict[str, list[State]] = field(default_factory=dict)
    breaks: list[list[State]] = field(default_factory=list)
    continues: list[list[State]] = field(default_factory=list)
    leaves: list[list[State]] = field(default_factory=list)
    cut: bool = False
    """Whether paths were dropped, so that what holds on the others need not hold on all."""
    steps: int = 0
    exhausted: bool = False
    """Whether statements were left out, so that the states no longer tell what is held."""

    def limit(self, states: Sequence[State]) -> list[State]:
        """At most `MAX_STATES` different states."""
        kept = unique(states)
        if len(kept) > MAX_STATES:
            self.cut = True
            first: dict[object, State] = {}
            for state in kept:
                first.setdefault((state.held, state.unsure), state)
            kept = unique([*first.values(), *kept])[:MAX_STATES]
        return kept

    def events(self, events: Sequence[Event], states: list[State]) -> list[State]:
        """Let the events happen."""
        for event in events:
            if not states:
                break
            self.steps += len(states) // 4
            if self.steps > MAX_STEPS:
                self.cut = self.exhausted = True
                break
            states = self.limit(self.act(event, states))
        return states

    def block(self, statements: Sequence[Statement], states: list[State]) -> list[State]:
        """Walk statements one after the other; the states that come out at the end."""
        for statement in statements:
            states = self.step(statement, states)
        return states

    def branch(self, states: Sequence[State], test: str, wanted: bool) -> list[State]:
        """The states that take one way of a condition."""
        if not test:
            return list(states) if wanted else []
        return [after for state in states if (after := assume(state, test, wanted)) is not None]

    def step(self, statement: Statement, states: list[State]) -> list[State]:
        """Walk one statement."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            self.cut = self.exhausted = True
            return states
        if isinstance(statement, Do):
            return self.events(statement.events, states)
        if isinstance(statement, If):
            states = self.events(statement.events, states)
            then = self.block(statement.then, self.branch(states, statement.test, True))
            return self.limit([*then, *self.block(statement.otherwise, self.branch(states, statement.test, False))])
        if isinstance(statement, Loop):
            return self.loop(statement, states)
        if isinstance(statement, Switch):
            return self.switch(statement, states)
        if isinstance(statement, Try):
            return self.guarded(statement, states)
        if isinstance(statement, Label):
            return self.limit([*states, *self.jumps.pop(statement.name, [])])
        return self.leave(statement, states)

    def leave(self, statement: Leave, states: list[State]) -> list[State]:
        """Take the states to where the statement leads; none go on here."""
        stacks = {"break": self.breaks, "continue": self.continues, "leave": self.leaves}
        if statement.kind == "goto":
            self.jumps.setdefault(statement.label, []).extend(states)
        elif statement.kind in stacks and stacks[statement.kind]:
            stacks[statement.kind][-1].extend(states)
        elif statement.kind == "return":
            self.exits += [(statement.line, state) for state in states]
        return []

    def loop(self, loop: Loop, states: list[State]) -> list[State]:
        """None, one and two rounds of a loop."""
        out: list[State] = []
        entering = states
        for number in range(2):
            self.breaks.append([])
            self.continues.append([])
            if not loop.once or number:
                entering = self.events(loop.events, entering)
                out += self.branch(entering, loop.test, False)
                entering = self.branch(entering, loop.test, True)
            after = self.block(loop.body, self.limit(entering))
            entering = self.limit([*after, *self.continues.pop()])
            out += self.breaks.pop()
        out += self.branch(self.events(loop.events, entering), loop.test, False)
        return self.limit(out)

    def switch(self, switch: Switch, states: list[State]) -> list[State]:
        """Every case from the top; falling through goes on with the next."""
        states = self.events(switch.events, states)
        self.breaks.append([])
        current: list[State] = []
        for case in switch.cases:
            current = self.block(case, self.limit([*current, *states]))
        return self.limit([*current, *self.breaks.pop(), *([] if switch.default else states)])

    def guarded(self, block: Try, states: list[State]) -> list[State]:
        """A __try: what leaves its body passes through __finally; __except starts from what held before the body."""
        self.leaves.append([])
        first = len(self.exits)
        before = {label: len(jumped) for label, jumped in self.jumps.items()}
        after = self.block(block.body, states)
        if block.final:  # a goto out of the body runs __finally first, which may release something
            for label, jumped in self.jumps.items():
                start = before.get(label, 0)
                jumped[start:] = [replace(state, unsure=True) for state in jumped[start:]]
        after = self.limit([*after, *self.leaves.pop()])
        if block.final:
            returned, self.exits[first:] = self.exits[first:], []
            for line, state in unique_exits(returned):
                self.exits += [(line, one) for one in self.block(block.final, [state])]
            return self.block(block.final, after)
        if block.handler:
            after = [*after, *self.block(block.handler, [replace(state, unsure=True) if state.held else state for state in states])]
        return self.limit(after)


def unique_exits(exits: Sequence[tuple[int, State]]) -> list[tuple[int, State]]:
    """Exits without repetitions, few enough to walk again."""
    return list(dict.fromkeys(exits))[:MAX_STATES]
