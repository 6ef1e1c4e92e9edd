"""An act of a Case and a context in, the uses out that the engine judges: calls, waits, locks taken, memory touched, objects stored."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from kb.case import JUDGED, Act, Block, Case, known
from kb.engine import Facts, Knowledge, Value
from kb.judge.contexts import Situation, facts_of, locks_in
from kb.judge.guards import guarded_levels
from kb.judge.records import Context
from kb.terms import Row

MEMORY = ("allocate", "touch", "free")
POOLS = ("paged", "nonpaged")


class Use(NamedTuple):
    """Something the engine can judge, and which part of its act it is."""

    facts: Facts
    part: str


class Uses:
    """Turns acts and blocks into uses."""

    def __init__(self, situation: Situation) -> None:
        """Read the acts and blocks of *situation*."""
        self.situation = situation
        self.case: Case = situation.case
        self.knowledge: Knowledge = situation.knowledge

    # -- names ----------------------------------------------------------------------------------------------------

    def allocator_of(self, act: Act) -> Row | None:
        """The row of what allocates or frees: named as such, or the routine that is called."""
        table = self.knowledge.terms.tables.get("allocators", {})
        for name in (known(act.allocator), known(act.ddi)):
            if name in table:
                return table[name]
            if name and (row := self.allocators_by_name.get(name.lower())):
                return row
        block = self.case.blocks.get(act.block or "")
        return table.get(known(block.allocator)) if block is not None and act.act == "allocate" else None

    @cached_property
    def allocators_by_name(self) -> dict[str, Row]:
        """Allocator rows by the documented names they go by."""
        rows = self.knowledge.terms.tables.get("allocators", {}).values()
        return {name.lower(): row for row in rows for name in row.names}

    def ddi_of(self, act: Act) -> str:
        """The documented routine that an act calls, told or given by its allocator; empty when none is known."""
        name = known(act.ddi)
        if name and self.knowledge.ddis.find(name) is not None:
            return name
        row = self.allocator_of(act) if act.act == "allocate" else None
        for name in row.names if row is not None else ():
            ddi = self.knowledge.ddis.find(name)
            if ddi is not None and ddi.rows:
                return ddi.name
        return ""

    # -- facts ----------------------------------------------------------------------------------------------------

    def block_facts(self, ident: str | None) -> dict[str, Value]:
        """What is told of a block: its pool, where else it lies, whether it is locked."""
        block = self.case.blocks.get(ident or "")
        if block is None:
            return {}
        facts = facts_of(block.facts)
        if block.pool is not None and block.pool.standing in JUDGED and block.pool.text in POOLS:
            facts["memory.pool"] = block.pool.text
        if block.memory is not None:
            facts["memory.place"] = block.memory
        if argument := facts.get("pool.argument"):
            facts |= self.pool_of_argument(str(argument), facts)
        return facts

    def pool_of_argument(self, argument: str, facts: Facts) -> dict[str, Value]:
        """The pool that a POOL_TYPE or flag gives, where the block's own is not told."""
        row = self.knowledge.terms.row("pool_arguments", argument)
        pool = str(row.more.get("pool") or "") if row is not None else ""
        return {"memory.pool": pool} if pool in POOLS and "memory.pool" not in facts else {}

    def act_facts(self, act: Act, context: Context) -> dict[str, Value]:
        """The facts of an act in a context: the place, the locks held, its own facts and arguments."""
        facts = dict(context.facts)
        facts.pop("code.pageable", None)
        held = {*locks_in(context.facts)} | {lock for name in act.locks if (lock := self.situation.lock_of(known(name)))}
        if held:
            facts["lock"] = tuple(sorted(held))
        told = {name.removeprefix("arg."): value for name, value in facts_of(act.facts).items()}
        facts |= {name: value for name, value in told.items() if name in self.knowledge.terms.facts}
        levels = guarded_levels(act.when)
        if levels is not None:
            facts["irql.lowest"], facts["irql.highest"] = levels
        return facts

    # -- uses -----------------------------------------------------------------------------------------------------

    def of_act(self, act: Act, context: Context) -> list[Use]:
        """
        What an act does, as uses.

        Args:
            act: Of the Case.
            context: One in which its place runs.

        Returns:
            A use for each thing that has to be allowed; empty when nothing of it can be judged.
        """
        facts = {**self.act_facts(act, context)}
        return [*self._calls(act, facts), *self._memory(act, facts)]

    def _calls(self, act: Act, facts: dict[str, Value]) -> Iterator[Use]:
        memory = self.block_facts(act.block)
        name = self.ddi_of(act)
        if act.act == "acquire":
            yield from self._acquires(act, facts, name)
            return
        if act.act == "wait":
            yield Use({**facts, "act": "wait"}, "wait")
        if name:
            lock = self.situation.lock_of(known(act.lock)) if act.act == "release" else ""
            held = {"lock": tuple(sorted({*locks_in(facts), lock}))} if lock else {}
            yield Use({**memory, **facts, **held, "act": "call", "ddi": name}, "call")

    def _acquires(self, act: Act, facts: dict[str, Value], name: str) -> Iterator[Use]:
        lock = self.situation.lock_of(known(act.lock))
        acquired = {"acquired": lock} if lock else {}
        called = {"ddi": name} if name else {}
        if acquired or called:
            yield Use({**facts, **acquired, **called, "act": "acquire"}, "acquire")

    def _memory(self, act: Act, facts: dict[str, Value]) -> Iterator[Use]:
        if act.act in MEMORY:
            yield Use({**self.block_facts(act.block), **facts, "act": act.act}, "memory")

    def touching(self, act: Act, context: Context) -> list[Use]:
        """The uses of its block's memory that an act makes: its own, and the touch by a routine that the block is handed to."""
        facts = self.act_facts(act, context)
        memory = list(self._memory(act, facts))
        if memory or act.block is None or act.act == "store" or not self.hands_over(act):
            return memory
        return [Use({**self.block_facts(act.block), **facts, "act": "touch"}, "memory")]

    def hands_over(self, act: Act) -> bool:
        """Whether a call, wait or lock taken reads or writes the memory of its block, rather than taking its address only."""
        block = self.case.blocks[act.block or ""]
        name = self.ddi_of(act)
        return not (name in self.address_only or block.memory == "user_buffer")

    @cached_property
    def address_only(self) -> frozenset[str]:
        """Routines that take an address without touching what lies there: `phrases.yaml`, `address_only`."""
        return frozenset(self.knowledge.terms.words.get("address_only") or ())

    def storage(self, ident: str, block: Block, context_facts: Facts) -> list[tuple[str, Use]]:
        """A use for each object that a block is or contains."""
        base = {**context_facts, **self.block_facts(ident), "act": "store"}
        return [(name, Use({**base, "object": name}, "storage")) for name in self.objects_in(ident, block)]

    def objects_in(self, ident: str, block: Block) -> list[str]:
        """Rows of objects.yaml that a block is or contains: told, stored in it, or what is waited for or locked by it."""
        table = self.knowledge.terms.tables.get("objects", {})
        told = [name for one in block.objects if (name := known(one)) in table]
        if block.objects:
            return told
        acts = [act for act in self.case.acts.values() if act.block == ident and act.standing in JUDGED]
        named = {known(act.object) for act in acts}
        named |= {self.object_of.get(self.ddi_of(act), "") for act in acts if act.act in ("acquire", "wait")}
        return sorted(name for name in named if name in table)

    def maybe_in(self, ident: str, block: Block) -> list[Row]:
        """
        Objects that a block may be, since a routine that uses them gets it and nobody tells what it is.

        A call does not tell which of its arguments the block is: `MmUnlockPages` gets the MDL of a buffer, not the buffer.
        """
        table = self.knowledge.terms.tables.get("objects", {})
        if block.objects:
            return []
        calls = [act for act in self.case.acts.values() if act.block == ident and act.standing in JUDGED and act.act == "call"]
        names = dict.fromkeys(name for act in calls if (name := self.object_of.get(self.ddi_of(act), "")))
        return [table[name] for name in names if table[name].more.get("storage") != "either"]

    @cached_property
    def object_of(self) -> dict[str, str]:
        """The object that a routine uses, by the routine: where exactly one row names it."""
        owners: dict[str, list[str]] = {}
        for row in self.knowledge.terms.tables.get("objects", {}).values():
            for ddi in row.more.get("ddis") or ():
                owners.setdefault(str(ddi), []).append(row.id)
        return {ddi: rows[0] for ddi, rows in owners.items() if len(rows) == 1}
