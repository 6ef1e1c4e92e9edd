"""Allocations, touches and frees on the paths of a snippet in, memory findings out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kb.snippet.comments import Told
from kb.snippet.parse import root_variable, strip
from kb.snippet.tree import Assign, Call, Function
from kb.snippet.walk import FALSY, TRUTHY, Block, State, Walker

if TYPE_CHECKING:
    from kb.engine import Facts, Judgement, Knowledge
    from kb.snippet.checks import Checks

NUMBER = re.compile(r"^-?\s*\(?\s*(?:\(?\s*(?:LONGLONG|LONG|INT64|__int64)\s*\)?\s*)?-?\s*(0x[0-9A-Fa-f]+|\d+)(?:[uUlLiI]|64)*\s*\)?$")


class Memory:
    """What happens to memory, as a part of the inspector."""

    places: list[dict[str, Any]]
    knowledge: Knowledge
    checks: Checks
    data: Any
    stack: dict[str, tuple[str, bool]]
    facts: list[tuple[str, str, str]]
    memory_uses: dict[int, tuple[Block, list[Facts]]]
    blamed: set[object]
    number: int
    fresh: tuple[str, int]
    walker: Walker | None
    told: list[Told]
    function: Function
    handed: dict[str, tuple[int, Block]]
    find: Callable[..., None]
    advise: Callable[[str, str], None]
    report: Callable[[Judgement, int, str], None]
    where: Callable[[State, Judgement], str]
    use: Callable[..., dict[str, Any]]
    forbidden: Callable[..., tuple[Judgement, State] | None]
    argument_facts: Callable[[Call, State], dict[str, Any]]

    def sure(self) -> bool:
        """Whether all paths are known, so that what holds on all of them is certain."""
        return self.walker is None or not self.walker.cut

    def note(self, number: int, block: Block, states: Sequence[State], act: str, **facts: Any) -> None:
        """Remember a use of a block, for the verdict about its pool."""
        kept = self.memory_uses.setdefault(number, (block, []))[1]
        for state in states:
            for place in self.places:
                use = self.use(place, state, act=act, **facts)
                if use not in kept and len(kept) < 20:
                    kept.append(use)

    # -- allocations ----------------------------------------------------------------------------------------------

    def allocate(self, call: Call, states: list[State]) -> list[State] | None:
        """An allocation; None when the call is none."""
        row_id = self.checks.allocators.get(call.name)
        entry = next((one for one in self.data["allocations"] if call.name in one["names"]), None)
        if row_id is None or entry is None:
            return None
        row = self.knowledge.terms.row("allocators", row_id)
        gives = str(row.more.get("gives")) if row is not None else ""
        argument = call.arguments[entry["pool"]] if "pool" in entry and entry["pool"] < len(call.arguments) else ""
        pool = gives if gives in ("paged", "nonpaged") else self.pool_of_argument(argument)
        self.shape(call, entry, argument)
        tag = call.arguments[entry["tag"]] if "tag" in entry and entry["tag"] < len(call.arguments) else ""
        self.number += 1
        block = Block(pool, call.name, call.line, row_id, tag=strip(tag), words=argument or call.name)
        self.memory_uses[self.number] = (block, [])
        self.note(self.number, block, states, "allocate")
        if pool:
            self.facts.append(("memory.pool", pool, f"`{argument or call.name}`, line {call.line}"))
        facts = {"memory__pool": pool} if pool else {}
        found = self.forbidden(states, act="allocate", **facts)
        if found is not None:
            self.blamed.add(self.number)
            what = f"asks for {pool} pool" if pool else "allocates pool"
            self.report(found[0], call.line, f"`{call.name}` {what} {self.where(found[1], found[0])}")
        for argument_name in map(strip, call.arguments):  # `FltAllocateContext(filter, FLT_VOLUME_CONTEXT, size, PagedPool, &p)` names what the memory is for
            stored = self.checks.objects.get(argument_name)
            bad = self.forbidden(states[:1], act="store", object=stored, memory__pool=pool) if stored and pool else None
            if bad is not None and found is None:
                self.note(self.number, block, states[:1], "store", object=stored)
                self.blamed.add(self.number)
                self.report(bad[0], call.line, f"`{call.name}` asks for {pool} pool for `{argument_name}`, which must lie in nonpaged pool")
        if any("windows" in place for place in self.places):
            exists = self.forbidden(states, act="call", ddi=call.name)
            if exists is not None and exists[0].steps[-1].rule == "called-before-it-exists":
                self.report(exists[0], call.line, f"`{call.name}` does not exist on Windows {exists[0].facts.get('windows', '')}")
        if row is not None and row.more.get("deprecated"):
            self.advise("deprecated", f"`{call.name}`, line {call.line}")
        target = strip(call.target).split()[-1] if call.target else ""
        if "out" in entry:  # the block comes back through a parameter, the return value is a status
            target = root_variable(call.arguments[entry["out"]]) if entry["out"] < len(call.arguments) else ""
        self.fresh = (target, call.line)
        if not re.match(r"\w+$", target):
            return states
        return [state.without(target).with_block(target, self.number, block) for state in states]

    def pool_of_argument(self, text: str) -> str:
        """The pool that a pool argument selects; empty when it is a variable."""
        pools = {self.checks.enums[name][1] for name in re.findall(r"\w+", text) if name in self.checks.enums and self.checks.enums[name][1]}
        return pools.pop() if len(pools) == 1 else ""

    def shape(self, call: Call, entry: dict[str, Any], argument: str) -> None:
        """Check the arguments of an allocation for themselves."""
        named = [(name, *self.checks.enums[name]) for name in re.findall(r"\w+", argument) if name in self.checks.enums]
        new = call.name in self.checks.one("zero_tag").more["ddis"]
        wanted = "POOL_FLAGS" if new else "POOL_TYPE"
        other = {"POOL_FLAGS": ("POOL_TYPE", "POOL_TYPE_MODIFIER"), "POOL_TYPE": ("POOL_FLAGS",)}[wanted]
        for name, enum, _, executable in named:
            if enum in other:
                check = next(one for one in self.checks.by_kind["wrong_enum"] if one.more["wanted"] == wanted)
                self.find("", call.line, f"`{call.name}` is given `{name}`, a value of {enum.replace('_MODIFIER', '')}; it takes {wanted}", check)
            elif executable:
                self.advise("executable", f"`{name}`, line {call.line}")
        if "tag" in entry and entry["tag"] < len(call.arguments):
            tag = strip(call.arguments[entry["tag"]])
            if new and tag in ("0", "NULL", "0x0", "0u", "0UL", "nullptr"):
                self.find("zero_tag", call.line, f"`{call.name}` is given a tag of `{tag}`")
            elif tag.startswith(('"', 'L"')):
                self.find("string_tag", call.line, f"`{call.name}` is given the string `{tag}` as its tag")
        if "size" in entry and new and entry["size"] < len(call.arguments) and strip(call.arguments[entry["size"]]) in ("0", "0u", "0x0"):
            self.find("zero_size", call.line, f"`{call.name}` is asked for 0 bytes")

    # -- frees ----------------------------------------------------------------------------------------------------

    def freed_argument(self, call: Call) -> int:
        """Which argument of a release routine is the memory."""
        return len(call.arguments) - 1 if "Lookaside" in call.name else 0

    def is_free(self, call: Call) -> bool:
        """Whether the call frees memory, rather than deleting a list or closing a handle."""
        return call.name in self.data["pool_frees"] or "FreeTo" in call.name or call.name.startswith("MmFreeContiguous")

    def free(self, call: Call, states: list[State]) -> list[State]:
        """A free: judged, then the block is gone."""
        position = self.freed_argument(call)
        variable = strip(call.arguments[position])
        held = [state.block(variable) for state in states]
        found = [one for one in held if one is not None]
        if states and found and len(found) == len(held) and self.sure():
            number, block = found[0]
            if all(one[1].freed for one in found):
                self.freed_before("free", call.line, states, f"`{variable}` is freed again; it was freed at line {found[0][1].freed}")
            elif all(not one[1].freed and one[0] == number for one in found) and not block.place:
                self.partner(call, variable, block)
        for number, block in dict(one for one in found if not one[1].freed).items():
            mine = [state for state, one in zip(states, held, strict=True) if one == (number, block)]
            self.note(number, block, mine, "free")
            bad = self.forbidden(mine, act="free", memory__pool=block.pool) if block.pool and call.name in self.data["pool_frees"] else None
            if bad is not None and number not in self.blamed:
                self.blamed.add(number)
                self.report(bad[0], call.line, f"`{call.name}` frees `{variable}`, which is {block.pool} pool (`{block.ddi}`, line {block.line}), {self.where(bad[1], bad[0])}")
        if not found:
            bad = self.forbidden(states, act="free")
            if bad is not None and call.name in self.data["pool_frees"]:
                self.report(bad[0], call.line, f"`{call.name}` frees pool {self.where(bad[1], bad[0])}")
        out = []
        for state, one in zip(states, held, strict=True):
            if one is not None:
                state = state.with_block(variable, one[0], replace(one[1], freed=one[1].freed or call.line))
            out.append(state)
        return out

    def freed_before(self, act: str, line: int, states: Sequence[State], message: str) -> None:
        """A block that is freed on all paths is touched or freed: the rules decide."""
        bad = self.forbidden(states[:1], act=act, memory__freed="true")
        if bad is not None:
            self.report(bad[0], line, message)

    def partner(self, call: Call, variable: str, block: Block) -> None:
        """Check that a block is freed by a routine that belongs to its allocator, with its tag."""
        if not block.row:
            return  # only a comment tells where it comes from
        allocator = self.knowledge.terms.row("allocators", block.row)
        pool_block = bool(allocator and set((allocator.more.get("release") or {}).get("with") or ()) & set(self.data["pool_frees"]))
        if pool_block != (call.name in self.data["pool_frees"]) or not pool_block and block.row not in self.checks.frees.get(call.name, ()):
            self.find("wrong_free", call.line, f"`{variable}` comes from `{block.ddi}` (line {block.line}) and is freed by `{call.name}`")
            return
        position = self.data["tag_frees"].get(call.name)
        tag = strip(call.arguments[position]) if position is not None and position < len(call.arguments) else ""
        if tag.startswith("'") and block.tag.startswith("'") and tag != block.tag:
            self.find("wrong_tag", call.line, f"`{variable}` was allocated with the tag {block.tag} (line {block.line}) and is freed with {tag}")

    # -- touches and storage --------------------------------------------------------------------------------------

    def touched(self, call: Call) -> list[str]:
        """Variables whose memory a call touches directly."""
        positions = self.data["touches"].get(call.name, ())
        return [name for at in positions if at < len(call.arguments) and (name := strip(call.arguments[at])).isidentifier()]

    def touch(self, variable: str, line: int, states: Sequence[State]) -> None:
        """A block is read or written."""
        held = [state.block(variable) for state in states]
        found = [one for one in held if one is not None]
        if not found:
            return
        if len(found) == len(held) and all(one[1].freed for one in found) and self.sure() and ("used", found[0][0]) not in self.blamed:
            self.blamed.add(("used", found[0][0]))
            self.freed_before("touch", line, states, f"`{variable}` is used after it was freed at line {found[0][1].freed}")
            return
        for number, block in dict(one for one in found if not one[1].freed).items():
            mine = [state for state, one in zip(states, held, strict=True) if one == (number, block)]
            facts = {"memory__place": block.place} if block.place else {"memory__pool": block.pool}
            if not block.place:
                self.note(number, block, mine, "touch")
            bad = self.forbidden(mine, act="touch", **facts) if block.pool or block.place else None
            if bad is not None and number not in self.blamed:
                self.blamed.add(number)
                what = "a user buffer" if block.place else f"{block.pool} pool"
                self.report(bad[0], line, f"`{variable}` points to {what} ({f'`{block.words}`'}, line {block.line}) and is touched {self.where(bad[1], bad[0])}")

    def store(self, call: Call, states: Sequence[State]) -> None:
        """An object is initialized, or waited for, in memory whose place is known."""
        entry = self.data["initializes"].get(call.name)
        if entry is not None and len(call.arguments) > entry["argument"]:
            text = strip(call.arguments[entry["argument"]])
            variable = root_variable(text)
            row = self.knowledge.terms.row("objects", entry["object"])
            title = row.title if row is not None else "the object"
            found = [one for state in states if (one := state.block(variable)) is not None and not one[1].place]
            if found and len(found) == len(states) and found[0][1].pool and (text == variable or "->" in text):
                number, block = found[0]
                self.note(number, block, states[:1], "store", object=entry["object"])
                bad = self.forbidden(states[:1], act="store", object=entry["object"], memory__pool=block.pool)
                if bad is not None and number not in self.blamed:
                    self.blamed.add(number)
                    self.report(bad[0], call.line, f"{title[:1].upper()}{title[1:]} (`{text}`) lies in {block.pool} pool (`{block.words}`, line {block.line})")
            elif text == f"&{variable}" and self.local(variable):
                bad = self.forbidden(states[:1], act="store", object=entry["object"], memory__place="stack")
                if bad is not None:
                    self.report(bad[0], call.line, f"{title[:1].upper()}{title[1:]} (`{variable}`) lies on the kernel stack")
        waited = self.data["waits"].get(call.name)
        if waited is not None and len(call.arguments) > waited["object"] and states:
            text = strip(call.arguments[waited["object"]])
            variable = root_variable(text)
            mode = self.argument_facts(call, states[0]).get("wait.mode")
            if text == f"&{variable}" and self.local(variable) and mode == "user":
                bad = self.forbidden(states[:1], act="store", object="kernel-event", memory__place="stack", wait__mode="user")
                if bad is not None:
                    self.report(
                        bad[0], call.line, f"`{call.name}` waits in UserMode for `{variable}`, which lies on the kernel stack: the stack can be paged out during such a wait"
                    )

    def local(self, variable: str) -> bool:
        """Whether a variable is a local object, not a pointer to one."""
        return variable in self.stack and not self.stack[variable][1] and not self.stack[variable][0].startswith(("P", "static"))

    # -- assignments ----------------------------------------------------------------------------------------------

    def assign(self, event: Assign, states: list[State]) -> list[State]:
        """A variable gets a new value."""
        target = strip(event.target)
        if (target, event.line) == self.fresh:
            self.fresh = ("", 0)
            return states
        value = event.value
        self.hand_over(event, states)
        root = root_variable(target)
        if target != root:
            quad = re.match(r"^(\w+)\.QuadPart$", target)
            if quad:
                return [replace(state.without(quad.group(1)), values=(*state.without(quad.group(1)).values, (quad.group(1), self.amount(value)))) for state in states]
            mention = re.sub(r"\s", "", target)
            return [replace(state, truths=tuple(one for one in state.truths if mention not in re.sub(r"\s", "", one[0]))) for state in states]
        out = []
        said = {one.line: one for one in self.told if one.here}
        for state in states:
            source = state.block(value) if value.isidentifier() else None
            state = state.without(root)
            if source is not None:
                state = state.with_block(root, *source)
            elif any(re.search(rf"\b{word}$", value) for word in self.data["user_memory"]):
                state = state.with_block(root, -event.line, Block("", "", event.line, place="user_buffer", words=value))
            elif value in FALSY or value in TRUTHY:
                state = replace(state, truths=tuple(sorted({**dict(state.truths), root: value in TRUTHY}.items())))
            elif re.match(r"^\{\s*(\{\s*)?0?\s*\}?\s*\}$", value):
                state = replace(state, values=(*state.values, (root, "zero")))
            elif value.startswith("IoAllocateMdl"):
                state = replace(state, values=(*state.values, (root, self.mdl(value, state))))
            elif event.line in said and said[event.line].variable == root:
                state = state.with_block(root, *self.told_block(said[event.line]))
            elif "LargeInteger" in value:
                state = replace(state, values=(*state.values, (root, self.amount(value.partition("(")[2].rstrip(") ")))))
            out.append(state)
        return out

    def hand_over(self, event: Assign, states: Sequence[State]) -> None:
        """Remember a block that one callback leaves for another: `*CompletionContext = r` in a pre-operation callback."""
        through = re.match(r"\*\s*(\w+)$", event.target.strip())
        entry = next((one for one in self.data["handoffs"] if one["from"] == self.function.returns.strip()), None)
        if through and entry and entry["parameter"] < len(self.function.parameters) and self.function.parameters[entry["parameter"]][1] == through.group(1):
            block = next((held for state in states if (held := state.block(event.value)) is not None), None)
            if block is not None:
                self.handed[entry["to"]] = block

    def taken_over(self, function: Function, state: State) -> State:
        """The state with the block that another callback left for this one."""
        block = self.handed.get(function.returns.strip())
        entry = next((one for one in self.data["handoffs"] if one["to"] == function.returns.strip()), None)
        if block is None or entry is None or entry["taken"] >= len(function.parameters):
            return state
        return state.with_block(function.parameters[entry["taken"]][1], *block)

    def told_block(self, told: Told) -> tuple[int, Block]:
        """The block that a comment speaks of, with its number."""
        number = -100_000 - self.told.index(told)
        if number not in self.memory_uses:
            self.memory_uses[number] = (Block(told.pool, "a comment", told.line, words=told.words), [])
            self.facts.append(("memory.pool", told.pool, f"the comment of line {told.line}"))
        return number, self.memory_uses[number][0]

    def mdl(self, value: str, state: State) -> str:
        """What an MDL describes, as a known value of its variable."""
        inner = re.match(r"IoAllocateMdl\s*\(\s*([^,]*),", value)
        variable = root_variable(strip(inner.group(1))) if inner else ""
        block = state.block(variable)
        if block is not None and not block[1].freed:
            return f"mdl:{block[1].pool or block[1].place}"
        return "mdl:stack" if variable in self.stack and not self.stack[variable][1] and inner is not None and self.array(inner.group(1), variable) else ""

    def array(self, text: str, variable: str) -> bool:
        """Whether an address is that of a local object."""
        return strip(text) == f"&{variable}" and self.local(variable)

    def amount(self, value: str) -> str:
        """Whether a time-out is zero; empty when it cannot be told."""
        literal = NUMBER.match(strip(value))
        if literal:
            return "nonzero" if int(literal.group(1), 0 if literal.group(1).lower().startswith("0x") else 10) else "zero"
        if re.match(r"^WDF_(?:REL|ABS)_TIMEOUT_IN_\w+\(\s*[1-9]\d*\s*\)$", value):
            return "nonzero"
        if re.match(r"^[-+*\s()\dxXLlUuIi]+$", value) and re.search(r"[1-9]", value) and not re.search(r"\b0\b", value):
            return "nonzero"
        return ""
