"""A clause's words (or a header's `_When_` expression) in, facts of facts.yaml out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

OPPOSITE = {"true": "false", "false": "true"}
VALUES: dict[str, tuple[str, ...]] = {
    "memory.pool": ("paged", "nonpaged"),
    "memory.resident": ("true", "false"),
    "wait.timeout": ("zero", "nonzero"),
    "argument.wait": ("true", "false"),
    "io.paging": ("true", "false"),
    "mapping": ("user", "kernel"),
    "mdl.target": ("pageable", "resident"),
    "callback.pageable": ("true", "false"),
    "unicode.conversion": ("true", "false"),
    "execution.level": ("passive", "dispatch"),
    "caller": ("user", "kernel"),
}
"""The facts a condition may use here, each with all of its values."""
WORDS: dict[tuple[str, str], str] = {
    ("memory.pool", "paged"): "memory from paged pool",
    ("memory.pool", "nonpaged"): "memory from nonpaged pool",
    ("memory.resident", "true"): "all memory it touches is resident",
    ("memory.resident", "false"): "some memory it touches is pageable",
    ("wait.timeout", "zero"): "the timeout is zero",
    ("wait.timeout", "nonzero"): "the timeout is NULL or not zero",
    ("argument.wait", "true"): "`Wait` is TRUE",
    ("argument.wait", "false"): "`Wait` is FALSE",
    ("io.paging", "true"): "paging I/O",
    ("io.paging", "false"): "not paging I/O",
    ("mapping", "user"): "mapping for user mode",
    ("mapping", "kernel"): "mapping for kernel mode",
    ("mdl.target", "pageable"): "pageable addresses",
    ("mdl.target", "resident"): "nonpageable addresses",
    ("callback.pageable", "true"): "a routine handed in is pageable",
    ("callback.pageable", "false"): "no routine handed in is pageable",
    ("unicode.conversion", "true"): "the format string has a Unicode conversion",
    ("unicode.conversion", "false"): "the format string has no Unicode conversion",
    ("execution.level", "passive"): "passive execution level",
    ("execution.level", "dispatch"): "execution level that is not passive",
}


@dataclass(frozen=True)
class Condition:
    """When a range holds: facts, or words of ours where no fact says it."""

    when: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    otherwise: str = ""
    """Our words for the opposite case, when it has words of its own."""
    until: str = ""
    """The last Windows it holds for."""

    @property
    def text(self) -> str:
        """The condition for people, in our words."""
        return self.words or " and ".join(WORDS.get((fact, value), f"{fact}={value}") for fact, value in sorted(self.when.items()))

    def opposite(self) -> Condition | None:
        """The other case, None when it is not a single one."""
        if self.until:
            return None
        if len(self.when) == 1 and not self.words:
            ((fact, value),) = self.when.items()
            others = [other for other in VALUES.get(fact, ()) if other != value]
            return Condition({fact: others[0]}) if len(others) == 1 else None
        if self.when:
            return None
        return Condition(words=self.otherwise or f"not so: {self.words}", otherwise=self.words)


def _facts(**facts: str) -> Condition:
    return Condition({name.replace("__", "."): value for name, value in facts.items()})


_OLD = (
    r"windows (?:7|vista|xp|2000|server 200[03])(?: service pack \d| sp\d)?(?:,? (?:and|or) [\w ]*?)? (?:and|or) earlier|earlier (?:versions of windows|operating systems|versions)"
)
_CLAUSES: tuple[tuple[str, Condition], ...] = (
    # time-outs and waits
    (r"timeout\s*!=\s*null and timeout\s*=\s*0|timeout (?:parameter )?(?:of|is|=|==|equal to|is set to) ?(?:zero|0)|(?:zero|0)[ -](?:time-?out|timeout)", _facts(wait__timeout="zero")),
    (r"time-?out (?:pointer|parameter) is null|time-?out value is (?:not zero|nonzero)", _facts(wait__timeout="nonzero")),
    (r"time-?out value is zero", _facts(wait__timeout="zero")),
    (r"timeout\s*=\s*null or timeout\s*!=\s*0|timeout (?:parameter )?(?:is )?(?:not|non)[- ]?(?:zero|equal)|nonzero (?:interval|timeout)", _facts(wait__timeout="nonzero")),
    (r"\bwait (?:parameter )?(?:is |= ?|is set to |set to |parameter is |== ?)+false|false for (?:the )?wait", _facts(argument__wait="false")),
    (r"\bwait (?:parameter )?(?:is |= ?|is set to |set to |parameter is |== ?)+true|true for (?:the )?wait", _facts(argument__wait="true")),
    # paging I/O
    (r"irp_paging_io flag is set", _facts(io__paging="true")),
    # mapping
    (r"accessmode (?:parameter )?is kernelmode|mapped to system (?:address )?space", _facts(mapping="kernel")),
    (r"accessmode (?:parameter )?is usermode|mapped to user", _facts(mapping="user")),
    # user strings
    (r"unicode format codes?", _facts(unicode__conversion="true")),
    # memory
    (r"\bnonpageable addresses", _facts(mdl__target="resident")),
    (r"\bpageable addresses", _facts(mdl__target="pageable")),
    (r"(?:routine|function|code|callback)s?\b[^,]*\b(?:is|are|contains?) (?:in )?(?:pageable|paged)", _facts(callback__pageable="true")),
    (r"non-?paged ?xxx|pool_flag_non_paged\b", _facts(memory__pool="nonpaged")),
    (r"(?:non-?paged|non-?pageable|not (?:paged|pageable))[- ](?:system )?(?:pool|memory)", _facts(memory__pool="nonpaged")),
    (r"\bresid(?:es?|ent|ing) in paged (?:pool|memory)|\b(?:from|in) paged (?:pool|memory)|pagedpool\b(?<!nonpagedpool)", _facts(memory__pool="paged")),
    (r"\b(?:is|are) (?:itself )?(?:non-?paged|non-?pageable|not pageable)\b|itself is nonpaged|nonpageable\b", _facts(memory__pool="nonpaged")),
    (r"\b(?:memory-)?resident\b", _facts(memory__resident="true")),
    (r"\b(?:is|are) (?:paged|pageable)\b|\bpageable memory\b", _facts(memory__pool="paged")),
    # framework objects
    (r"did not specify wdfexecutionlevelpassive", _facts(execution__level="dispatch")),
    (r"wdfexecutionlevelpassive", _facts(execution__level="passive")),
    # what no fact says
    (r"memorymappedcontroller flag bit is set", Condition(words="the controller's registers are memory-mapped", otherwise="the controller's registers are not memory-mapped")),
    (r"neither contiguous nor noncached", Condition(words="memory neither contiguous nor noncached")),
    (r"releas\w+ contiguous memory", Condition(words="contiguous memory")),
    (r"releas\w+ noncached memory", Condition(words="noncached memory")),
    (r"waitford0 (?:parameter )?is true", Condition({"argument.wait": "true"}, words="`WaitForD0` is TRUE")),
    (r"waitford0 (?:parameter )?is false", Condition({"argument.wait": "false"}, words="`WaitForD0` is FALSE")),
    (r"(?:request|irp) originated from user mode", Condition({"caller": "user"}, words="a request from user mode")),
    (r"(?:request|irp) originated from kernel mode", Condition({"caller": "kernel"}, words="a request from kernel mode")),
    (r"eventbuffersize is less than or equal to 256", Condition(words="`EventBufferSize` is at most 256", otherwise="`EventBufferSize` is above 256")),
    (r"eventbuffersize is greater than 256", Condition(words="`EventBufferSize` is above 256", otherwise="`EventBufferSize` is at most 256")),
    (r"passive[- ]level interrupts?\b", Condition(words="passive-level interrupt handling", otherwise="interrupt handling at DIRQL")),
    (r"queue is protected by a spin lock", Condition(words="the queue is protected by a spin lock", otherwise="the queue is protected by a mutex or resource")),
    (r"mutex or resource is used", Condition(words="the queue is protected by a mutex or resource", otherwise="the queue is protected by a spin lock")),
    (r"callbackdata parameter represents a valid", Condition(words="`CallbackData` is a valid IRP operation", otherwise="`CallbackData` is not an IRP operation")),
    (r"irp parameter points to a valid irp", Condition(words="`Irp` points to an IRP", otherwise="`Irp` is not used")),
    (r"irp parameter is not used", Condition(words="`Irp` is not used", otherwise="`Irp` points to an IRP")),
    (r"callbackstatus parameter is flt_preop_complete", Condition(words="`CallbackStatus` is FLT_PREOP_COMPLETE", otherwise="`CallbackStatus` is another value")),
    (r"setting (?:the )?state to d0", Condition(words="the state set is D0", otherwise="the state set is not D0")),
    (r"controlcode is (event_activity_ctrl_create_id)", Condition(words="`ControlCode` is EVENT_ACTIVITY_CTRL_CREATE_ID", otherwise="`ControlCode` is another value")),
    (r"wnode_flag_traced_guid", Condition(words="`Flags` has WNODE_FLAG_TRACED_GUID", otherwise="`Flags` lacks WNODE_FLAG_TRACED_GUID")),
    (r"po_fx_flag_async_only", Condition(words="`Flags` is PO_FX_FLAG_ASYNC_ONLY or zero", otherwise="`Flags` is PO_FX_FLAG_BLOCKING")),
    (r"po_fx_flag_blocking", Condition(words="`Flags` is PO_FX_FLAG_BLOCKING", otherwise="`Flags` is PO_FX_FLAG_ASYNC_ONLY or zero")),
    (_OLD, Condition(until="an earlier Windows")),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), condition) for pattern, condition in _CLAUSES)


def read_clause(clause: str) -> Condition | None:
    """
    Turn a condition's words into facts.

    Args:
        clause: Such as `the context was allocated from paged pool`.

    Returns:
        The condition, None when it is not understood.
    """
    for pattern, condition in _COMPILED:
        if pattern.search(clause):
            return condition
    return None


_FLAG = r"[\w.\->*]*"
_EXPRESSIONS: tuple[tuple[str, Condition], ...] = (
    (r"\(?PoolType&PagedPool\)?!=0|Flags&POOL_FLAG_PAGED\)?!=0|PoolType!=NonPagedPoolNx|PoolType==1\|\|PoolType==257", _facts(memory__pool="paged")),
    (r"\(?PoolType&PagedPool\)?==0|Flags&POOL_FLAG_PAGED\)?==0|PoolType==NonPagedPoolNx|PoolType==0\|\|PoolType==256", _facts(memory__pool="nonpaged")),
    (r"PoolType(?:==|&)\(?(?:PagedPool|POOL_FLAG_PAGED)\b", _facts(memory__pool="paged")),
    (rf"Time[oO]ut==NULL\|\|\*?{_FLAG}!=0|Timeout==NULL$|Timeout!=NULL&&\*?{_FLAG}!=0", _facts(wait__timeout="nonzero")),
    (rf"Timeout!=NULL&&\*?{_FLAG}==0", _facts(wait__timeout="zero")),
    (r"Wait==(?:0|FALSE|__false)|!Wait\b", _facts(argument__wait="false")),
    (r"Wait==(?:1|TRUE|__true)|Wait!=(?:0|FALSE)|^Wait$", _facts(argument__wait="true")),
    (r"AccessMode==(?:0|KernelMode)", _facts(mapping="kernel")),
    (r"AccessMode==(?:1|UserMode)", _facts(mapping="user")),
    (r"^!\(?FlagOn\(.*IRP_PAGING_IO", _facts(io__paging="false")),
    (r"FlagOn\(.*IRP_PAGING_IO|FLTFL_IO_OPERATION_PAGING", _facts(io__paging="true")),
)  # fmt: skip


def read_expression(expression: str) -> Condition:
    """
    Turn a `_When_` expression of a header into facts.

    Args:
        expression: C, such as `(PoolType & PagedPool) != 0`.

    Returns:
        The condition; its words are the expression where no fact says it (an expression is a fact of the header, not prose).
    """
    squeezed = re.sub(r"\s+", "", expression)
    while squeezed.startswith("(") and _closes(squeezed) == len(squeezed) - 1:
        squeezed = squeezed[1:-1]
    for pattern, condition in _EXPRESSIONS:
        if re.search(pattern, squeezed):
            return condition
    return Condition(words=f"`{squeezed}`")


def _closes(text: str) -> int:
    depth = 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return at
    return -1
