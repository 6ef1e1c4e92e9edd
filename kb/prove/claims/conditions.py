"""The cases of a row in, claims about their conditions out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kb.prove.claims.claim import Claim, equals, own_citations
from kb.prove.levels import texts
from kb.prove.profiles import case_facts
from kb.terms import Citation, Row, text_of

FACT_WORDS: Mapping[tuple[str, str], str] = {
    ("execution.level", "passive"): r"(?<!not specify )WdfExecutionLevelPassive",
    ("execution.level", "dispatch"): r"WdfExecutionLevelDispatch|by default|DPC|spin lock",
    ("operation.synchronized", "true"): r"FLT_PREOP_SYNCHRONIZE|synchroni[sz]ed",
    ("operation.synchronized", "false"): r"arbitrary thread|WITH_CALLBACK|not synchroni[sz]ed",
    ("caller", "user"): r"user-mode|most drivers|arbitrary thread context|paging path",
    ("caller", "kernel"): r"kernel-mode|highest-level|upper|<= ?DISPATCH_LEVEL",
    ("io.paging", "true"): r"paging (path|I/O|file)",
    ("io.paging", "false"): r"most drivers|exceptions|POWER_PAGABLE|PASSIVE_LEVEL",
    ("memory.pool", "paged"): r"(?<!non)(?<!non-)paged",
    ("memory.pool", "nonpaged"): r"non-?paged",
    ("interrupt.passive", "true"): r"passive[- ]level",
    ("interrupt.passive", "false"): r"spin lock|DIRQL",
    ("power.pagable", "true"): r"DO_POWER_PAGABLE",
    ("power.pagable", "false"): r"DO_POWER_INRUSH",
    ("handle", "device"): r"WDFDEVICE",
    ("storport.model", "half"): r"half-duplex",
    ("storport.model", "full"): r"full-duplex",
    ("storport.model", "virtual"): r"(?<!non-)virtual miniport",
    ("gpio.mapped", "true"): r"MemoryMappedController = 1",
    ("gpio.mapped", "false"): r"MemoryMappedController flag is not set|MemoryMappedController = 0",
    ("ks.processing", "passive"): r"default IRQL = PASSIVE_LEVEL|do not specify this flag",
    ("ks.processing", "dispatch"): r"(?<!not )specif(y|ied) KS\w+_FLAG_DISPATCH",
    ("wait.timeout", "zero"): r"zero|Timeout",
    ("wait.mode", "kernel"): r"KernelMode|kernel-mode|resident|resides",
    ("wait.mode", "user"): r"UserMode|user mode|must set the WaitMode",
    ("memory.place", "stack"): r"stack|must be resident",
}
"""Words of the documentation that speak of a value of a fact."""


def when_claims(where: str, number: int, case: Mapping[str, Any], cited: Sequence[Citation]) -> Iterator[Claim]:
    """The condition of a case: its citations speak of the value, and not of the opposite one."""
    for fact, wanted in case["when"].items():
        for one in wanted if isinstance(wanted, list) else [wanted]:
            value = text_of(one)
            others = tuple(other for name, other in FACT_WORDS if name == fact and other != value)
            yield Claim(where, f"case {number} when {fact}", value, others, speaker(fact, cited))


def condition_claims(where: str, row: Row) -> Iterator[Claim]:
    """
    What the citations of a case speak of stands in its condition, so that a dropped condition is noticed.

    Args:
        where: Table and row.
        row: A row with cases; the facts of all their conditions are its vocabulary.

    Yields:
        A claim for each fact of the vocabulary and each case.
    """
    vocabulary = case_facts([row])
    for number, case in enumerate(row.more.get("cases") or (), start=1):
        cited = own_citations(case, row)
        for fact in vocabulary:
            spoken = any(speaks_of(fact, value, cited) for name, value in FACT_WORDS if name == fact)
            if fact in case["when"]:
                yield Claim(where, f"case {number} condition {fact}", "stated", ("dropped",), equals("stated") if spoken else equals("stated", "dropped"))
            else:
                yield Claim(where, f"case {number} condition {fact}", "absent", (), equals() if spoken else equals("absent"))


def speaks_of(fact: str, value: str, citations: Sequence[Citation]) -> bool:
    """Whether a term of the citations speaks of a value of a fact."""
    pattern = FACT_WORDS.get((fact, value))
    return pattern is not None and any(re.search(pattern, text, re.I) for text in texts(citations))


def speaker(fact: str, citations: Sequence[Citation]) -> Callable[[str], bool]:
    """Whether a term of the citations speaks of a value of this fact."""
    return lambda value: speaks_of(fact, value, citations)
