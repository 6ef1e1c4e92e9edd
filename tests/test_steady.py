"""What does not change a question must not change its verdict: a greeting, a missing question mark, other quotation marks."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kb.engine import Knowledge, decide, load_knowledge
from kb.question import Reader

FILES = sorted((Path(__file__).parent / "questions").rglob("*.jsonl"))
EVERY = 13  # questions of which the fast test takes one

REWORDINGS: dict[str, Callable[[str], str]] = {
    "lead-in": lambda text: f"Hi all, {text}",
    "announced": lambda text: f"Quick question: {text}",
    "in our driver": lambda text: f"In our driver: {text}",
    "no question mark": lambda text: re.sub(r"\?+\s*$", "", text),
    "we": lambda text: re.sub(r"\bI\b", "we", text),
    "typographic apostrophe": lambda text: text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}"),
    "thanks": lambda text: f"{text} TIA",
}


@functools.cache
def knowledge() -> Knowledge:
    return load_knowledge()


@functools.cache
def reader() -> Reader:
    return Reader(knowledge().terms, knowledge().ddis)


def questions() -> list[tuple[str, str]]:
    """Ids and texts of every single question in prose."""
    rows = [json.loads(line) for file in FILES for line in file.read_text(encoding="utf-8").splitlines()]
    return [(row["id"], row["question"]) for row in rows if "verdict" in row and "question" in row and "```" not in row["question"]]


def verdict(text: str) -> tuple[str, ...]:
    question = reader().read(text)
    if question.refusal or not question.uses:
        return (question.refusal,)
    found = decide(question.uses, knowledge(), question.proposed)
    return found.pool, found.callable, str(found.max_irql)


def changed(every: int) -> list[str]:
    out = []
    for id, text in questions()[::every]:
        before = verdict(text)
        for name, reword in REWORDINGS.items():
            said = reword(text)
            if said != text and (after := verdict(said)) != before:
                out.append(f"{id}, {name}: {before} became {after} | {said}")
    return out


def test_a_verdict_does_not_hang_on_how_a_question_is_wrapped() -> None:
    assert changed(EVERY) == []


@pytest.mark.slow
def test_no_verdict_hangs_on_how_a_question_is_wrapped() -> None:
    assert changed(1) == []


PLACES = ("a DPC", "my work item routine", "EvtDpcFunc", "my IoCompletion routine", "AddDevice", "a system thread", "a pre-create callback", "EvtDeviceD0Entry", "a post-read callback", "ClassifyFn", "StartIo")
CALLS = ("ZwClose", "KeSetTimer", "WdfWaitLockAcquire", "ExAllocateFromPagedLookasideList", "IoQueueWorkItem", "FltGetFileNameInformation", "RtlCompareUnicodeString", "WdfRequestComplete", "ExFreePool")
HELD = ("a spin lock", "a fast mutex", "an ERESOURCE", "a push lock", "a KMUTEX", "a guarded mutex", "a WDFWAITLOCK", "a WDFSPINLOCK")
LEVELS = ("DISPATCH_LEVEL", "APC_LEVEL", "PASSIVE_LEVEL", "DIRQL")


def conversation(*turns: str) -> tuple[str, ...]:
    """The last verdict of a conversation."""
    question = None
    for text in turns:
        question = reader().read(text, question)
    assert question is not None
    found = decide(question.uses, knowledge(), question.proposed)
    return found.pool, found.callable, str(found.max_irql)


def told_apart() -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Questions that say it all, each with conversations and other wordings that say the same."""
    out: list[tuple[tuple[str, ...], list[tuple[str, ...]]]] = []
    for number, call in enumerate(CALLS):
        other = CALLS[number - 3]
        for at, place in enumerate(PLACES):
            elsewhere = PLACES[at - 5]
            out.append(
                (
                    (f"can I call {call} from {place}?",),
                    [
                        (f"can I call {call}?", f"from {place}"),
                        (f"can I call {call}?", f"it's {place}"),
                        (f"can I call {call} from {elsewhere}?", f"and from {place}?"),
                        (f"can I call {call} from {elsewhere}?", f"what about {place}"),
                        (f"can I call {call} from {elsewhere}?", f"no, I meant {place}"),
                        (f"can I call {other} from {place}?", f"and {call}?"),
                        (f"can I call {other} from {place}?", f"{call} instead"),
                        (f"may {place} call {call}",),
                        (f"from {place}, can {call} be called",),
                    ],
                )
            )
        for at, lock in enumerate(HELD):
            out.append(
                (
                    (f"can I call {call} while I hold {lock}?",),
                    [
                        (f"can I call {call}?", f"I hold {lock}"),
                        (f"can I call {call} while I hold {HELD[at - 3]}?", f"and with {lock}?"),
                        (f"can I call {call} while I hold {HELD[at - 3]}?", f"sorry, it's {lock}"),
                        (f"is {call} allowed under {lock}",),
                        (f"may I take {lock}?", f"and can I call {call} while holding it?"),
                    ],
                )
            )
        for at, level in enumerate(LEVELS):
            out.append(
                (
                    (f"can I call {call} at {level}?",),
                    [
                        (f"can I call {call}?", level),
                        (f"can I call {call} at {LEVELS[at - 1]}?", f"and at {level}?"),
                        (f"can I call {call} at {LEVELS[at - 1]}?", f"what if it's {level}"),
                        (f"IRQL is {level}, may I call {call}",),
                    ],
                )
            )
    for at, place in enumerate(PLACES):
        out.append(
            (
                (f"I need a buffer that is touched in {place}. paged or nonpaged?",),
                [
                    ("paged or nonpaged pool for my buffer?", f"it's touched in {place}"),
                    ("which pool for a table?", f"{place} reads it"),
                    ("Which pool for a table that DriverEntry fills?", f"and {place} reads it"),
                    ("Which pool for a table that a DPC reads?", f"sorry, not a DPC, {place}"),
                    ("Which pool for a table that AddDevice fills and frees?", f"what if {place} reads it?"),
                    (f"Which pool for a table that {PLACES[at - 4]} reads?", f"no wait, {place} reads it instead"),
                ],
            )
        )
    return out


def differing(every: int) -> list[str]:
    out = []
    for whole, others in told_apart()[::every]:
        wanted = conversation(*whole)
        memory = wanted[1] == "n/a"
        for turns in others:
            found = conversation(*turns)
            if (found[0] if memory else found[1:]) != (wanted[0] if memory else wanted[1:]):
                out.append(f"{turns}: {found}, told at once {wanted}")
    return out


def test_a_fact_told_later_counts_like_one_told_at_once() -> None:
    assert differing(7) == []


@pytest.mark.slow
def test_every_fact_told_later_counts_like_one_told_at_once() -> None:
    assert differing(1) == []
