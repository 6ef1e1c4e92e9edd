"""Acquisitions and releases on the paths of a snippet in, lock findings out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kb.snippet.parse import strip
from kb.snippet.tree import Call
from kb.snippet.walk import Held, State, Walker
from kb.terms import LEVELS, rank

if TYPE_CHECKING:
    from kb.engine import Facts, Judgement, Knowledge
    from kb.snippet.checks import Check, Checks
    from kb.snippet.tree import Function, Unit

MAX_HELD = 8  # nobody holds more locks at once; code that seems to is not understood
SAL_KEEPS = re.compile(r"_(?:Acquires|IRQL_raises|IRQL_saves|Releases)\w*_?")


class Locks:
    """What acquiring and releasing does, as a part of the inspector."""

    unit: Unit
    function: Function
    places: list[dict[str, Any]]
    pageable: str
    knowledge: Knowledge
    checks: Checks
    data: Any
    helpers: list[Call]
    released_here: set[str]
    facts: list[tuple[str, str, str]]
    find: Callable[..., None]
    report: Callable[[Judgement, int, str], None]
    where: Callable[[State, Judgement], str]
    use: Callable[..., dict[str, Any]]
    verdict: Callable[[Facts], Judgement]
    judge_call: Callable[[Call, Sequence[State]], None]
    run_pageable: Callable[[State, int, str], None]

    def key_of(self, call: Call) -> str:
        """The text that identifies the lock of a call; empty where there is only one."""
        position = int(self.data["lock_arguments"].get(call.name, 0))
        if position < 0 or position >= len(call.arguments):
            return ""
        return re.sub(r"\s+", "", strip(call.arguments[position])).lstrip("&")

    def row_of(self, call: Call) -> str:
        """The lock that a call acquires; for KeRaiseIrql by the level it is given."""
        row = self.checks.acquires[call.name]
        if row == "raised-irql" and call.arguments:
            return {"DISPATCH_LEVEL": "raised-to-dispatch-level", "APC_LEVEL": "raised-to-apc-level"}.get(strip(call.arguments[0]), row)
        return row

    def fails(self, call: Call) -> bool:
        """Whether an acquisition may fail."""
        entry = self.data["tries"].get(call.name)
        if entry is None:
            return call.name == "WdfWaitLockAcquire" and len(call.arguments) > 1 and strip(call.arguments[1]) not in ("NULL", "nullptr", "0")
        return "wait" not in entry or len(call.arguments) <= entry["wait"] or strip(call.arguments[entry["wait"]]) != "TRUE"

    def acquire(self, call: Call, states: list[State]) -> list[State]:
        """Judge an acquisition, then hold the lock."""
        row_id, key = self.row_of(call), self.key_of(call)
        self.facts.append(("lock", row_id, f"`{call.name}`, line {call.line}"))
        saver = self.data["saved_irql"].get(call.name)
        saved = re.sub(r"\s|&", "", strip(call.arguments[saver])) if saver is not None and saver < len(call.arguments) else ""
        check = self.checks.one("recursive")
        again = [one for state in states for one in state.held if one.row == row_id and one.key == key and not one.given]
        if not self.fails(call) and row_id in check.more["locks"] and states and all(any(one.row == row_id and one.key == key for one in state.held) for state in states):
            taken = f"line {again[0].line}" if again else "the I/O manager's call of this Cancel routine"
            self.find("recursive", call.line, f"`{call.name}` acquires {f'`{key}`' if key else 'a lock'} that is held since {taken}", check)
            return [replace(state, held=(*state.held, Held(row_id, key, call.name, call.line))) for state in states]
        other = [one for state in states for one in state.held if saved and one.saved == saved and not one.given and (one.row, one.key) != (row_id, key)]
        if other and all(any(one.saved == saved for one in state.held) for state in states):
            self.find("saved_twice", call.line, f"`{call.name}` saves the IRQL in `{saved}`, where `{other[0].ddi}` (line {other[0].line}) has saved it already")
        if call.name in ("KeRaiseIrql", "KfRaiseIrql") and call.arguments and strip(call.arguments[0]) in LEVELS:
            self.raise_down(call, strip(call.arguments[0]), states)
        self.judge_call(call, states)
        held = Held(row_id, key, call.name, call.line, saved)
        out = []
        for state in states:
            if len(state.held) >= MAX_HELD:
                out.append(replace(state, unsure=True))
                continue
            gained = replace(state, held=(*state.held, held), released=tuple(one for one in state.released if one[0] != key))
            self.run_pageable(gained, call.line, "")
            if self.fails(call):
                text = call.target or call.text
                truths = dict(state.truths)
                out.append(replace(state, truths=tuple(sorted({**truths, text: False}.items()))))
                gained = replace(gained, truths=tuple(sorted({**truths, text: True}.items())))
                gained = replace(gained, unsure=True) if call.name == "WdfWaitLockAcquire" else gained
            out.append(gained)
        return out

    def raise_down(self, call: Call, level: str, states: Sequence[State]) -> None:
        """KeRaiseIrql to a level below the one that is certain here."""
        lows = []
        for state in states:
            for place in self.places:
                one = self.verdict(self.use(place, state, act="run", code__pageable="false"))
                lows.append(one.lowest)
        if lows and all(low is not None and rank(low) > rank(level) for low in lows):
            self.find("raise_down", call.line, f"`{call.name}` is given `{level}` where the IRQL is at least `{lows[0]}`")

    def release(self, call: Call, states: list[State]) -> list[State]:
        """Release the lock that a call names."""
        rows, key = self.checks.releases[call.name], self.key_of(call)
        self.released_here.update(rows)
        by_key = [[one for one in state.held if one.key == key] for state in states]
        wrong = [one for held in by_key for one in held[-1:] if one.row not in rows]
        if wrong and key and all(held and held[-1].row not in rows for held in by_key) and wrong[0].row != "spin-lock-try" and self.family(rows) == self.family((wrong[0].row,)):
            self.find("mismatched_release", call.line, f"`{key}` was acquired by `{wrong[0].ddi}` (line {wrong[0].line}) and is released by `{call.name}`")
        given = [one for held in by_key for one in held if one.given]
        if given and call.name == "IoReleaseCancelSpinLock" and call.arguments and strip(call.arguments[0]) in LEVELS:
            self.find("cancel_lock", call.line, f"`{call.name}` is given `{strip(call.arguments[0])}` instead of the IRP's `CancelIrql`")
        counted = any(row in self.data["counted_locks"] for row in rows)
        if key and states and not counted and all(not state.unsure and key in dict(state.released) and not state.held for state in states):
            self.find("released_twice", call.line, f"`{key}` is released again; it was released at line {dict(states[0].released)[key]}")
        return [self.let_go(call, state, rows, key) for state in states]

    def family(self, rows: Sequence[str]) -> str:
        """Locks of one family are told apart by the form of the routines; only within it is a wrong partner certain."""
        for name in ("queued", "reader-writer", "wdf", "ndis", "storport", "spin-lock", "fast-mutex", "guarded-mutex"):
            if any(name in row for row in rows):
                return name
        return rows[0]

    def let_go(self, call: Call, state: State, rows: Sequence[str], key: str) -> State:
        """The state without the lock: the one of that name, else the only one of its kind."""
        kept = list(state.held)
        matching = [one for one in kept if one.key == key and (one.row in rows or key)] or [one for one in kept if one.row in rows]
        if not matching and call.name == "KeLowerIrql":
            matching = [one for one in kept if one.saved and call.arguments and one.saved == strip(call.arguments[0])]
        if matching:
            kept.reverse()
            kept.remove(matching[-1])
            kept.reverse()
        released = tuple(sorted({**dict(state.released), key: call.line}.items())) if key and matching else state.released
        return replace(state, held=tuple(kept), released=released)

    def leave(self, walker: Walker) -> None:
        """Look at what is still held where the function ends."""
        if walker.exhausted:
            return
        check: Check = self.checks.one("unreleased")
        name = self.function.name.lower()
        purpose = (
            any(word in name for word in self.data["acquiring_words"]) or SAL_KEEPS.search(self.function.sal) or any(place.get("routine") == "csq-lock" for place in self.places)
        )
        shortened = self.unit.shortened
        for line, state in walker.exits:
            own = [one for one in state.held if not one.given and one.row in check.more["locks"]]
            if not own or state.unsure or purpose or shortened and line == self.function.last:
                continue
            one = own[0]
            elsewhere = one.row in self.released_here or any(set(self.released_here) & {other} for other in self.siblings(one.row))
            if not elsewhere and (self.function.fragment or shortened or any(self.hands_over(helper, one) for helper in self.helpers)):
                continue
            what = f"`{one.key}`" if one.key else "what it acquired"
            row = self.knowledge.terms.row("locks", one.row)
            raised = (row.more.get("held") or {}).get("highest") if row else None
            level = f"; the IRQL stays at `{raised}`" if raised and raised != "PASSIVE_LEVEL" else ""
            self.find("unreleased", line, f"This path leaves with {what} still held (`{one.ddi}`, line {one.line}){level}", check)
        given = [state for _, state in walker.exits if any(one.given for one in state.held)]
        if walker.exits and len(given) == len(walker.exits) and not any(state.unsure for state in given) and not shortened and "cancel-spin-lock" not in self.released_here:
            irps = {name for _, name in self.function.parameters}
            if not any(irps & set(re.findall(r"\w+", " ".join(helper.arguments))) for helper in self.helpers):
                self.find("cancel_lock", self.function.line, f"The Cancel routine `{self.function.name}` never releases the cancel spin lock")

    def siblings(self, row: str) -> set[str]:
        """Locks whose releases also release this one."""
        return {other for rows in self.checks.releases.values() if row in rows for other in rows}

    def hands_over(self, helper: Call, lock: Held) -> bool:
        """Whether a routine of the driver's own gets to see the lock's owner."""
        owner = re.match(r"\w+", lock.key)
        return helper.line >= lock.line and (owner is None or any(re.search(rf"\b{owner.group()}\b", one) for one in helper.arguments))
