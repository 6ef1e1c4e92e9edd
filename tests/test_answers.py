"""
Snapshots of answers: question, facts, verdict, derivation, citations, from the built-in knowledge alone.

`pytest --update-answers` writes them anew; the diff is what a kernel engineer reviews, and a changed verdict goes into CHANGELOG.md.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from kb.answer import Answer
from kb.chain import Assistant
from kb.engine import load_knowledge

FOLDER = Path(__file__).resolve().parent / "answers"
QUESTIONS: dict[str, tuple[str, ...]] = {
    "dpc-reads-paged-pool": ("Can my DpcForIsr read a buffer that I allocated from paged pool in DriverEntry?",),
    "scratch-in-a-work-item": ("Scratch buffer, allocated, used and freed again in my work item routine. Which pool?",),
    "completion-context": ("What pool must the context of my IoCompletion routine come from?",),
    "nothing-known": ("Which pool should my buffer come from?",),
    "allocate-in-an-isr": ("Can I allocate nonpaged pool in my ISR?",),
    "wait-in-a-dpc": ("Can a DPC call KeWaitForSingleObject with a zero timeout?", "And with a NULL timeout?"),
    "set-event-at-dispatch": ("KeSetEvent at DISPATCH_LEVEL, allowed?",),
    "file-under-a-fast-mutex": ("May I call ZwWriteFile while I hold a fast mutex?",),
    "push-lock-storage": ("Where may an EX_PUSH_LOCK live?",),
    "event-on-the-stack": ("KEVENT on the stack, the wait is in UserMode. ok?",),
    "context-of-a-preoperation": ("At what IRQL does a minifilter pre-operation callback run?",),
    "bug-check-d1": ("DRIVER_IRQL_NOT_LESS_OR_EQUAL (d1) arg1 fffff8a0`01234560 arg2 2 arg3 0 arg4 fffff880`04a1b2c3",),
    "verifier-leak": ("Bug check 0xC4 with parameter 1 = 0x62, what is it?",),
    "migrate-to-pool-two": ("What replaces ExAllocatePoolWithTag(NonPagedPool, n, tag)?",),
    "linux-gfp-atomic": ("What is kmalloc with GFP_ATOMIC in a Windows driver?",),
    "a-claim-that-is-wrong": ("My DPC runs at PASSIVE_LEVEL, so it can touch paged pool, right?",),
    "a-name-that-does-not-exist": ("At which IRQL may I call KeFrobnicateSpinLock?",),
    "out-of-scope": ("How large should the Java heap be on a server with 64 GB?",),
    "follow-up-locked": ("Can a DPC touch paged pool?", "and if I lock the pages first?"),
}


@functools.cache
def assistant() -> Assistant:
    """The assistant on the built-in knowledge, without an index."""
    return Assistant(load_knowledge(), Path("no-index"))


def snapshot(answer: Answer) -> list[str]:
    """What of an answer a reviewer looks at."""
    written = answer.to_json()
    verdict = written["verdict"]
    lines = [f"## {written['question']}", "", f"Kind: {written['kind']}" + (", declined" if written["abstained"] else ""), "", "| fact | value | use | from |", "| --- | --- | --- | --- |"]
    for fact in written["facts"]:
        use = "" if fact["use"] is None else fact["use"]
        lines.append(f"| {fact['name']} | {fact['value']} | {use} | {fact['from']}{' (assumed)' if fact['assumed'] else ''} |".replace("  ", " "))
    told = ", ".join(f"{key} {value}" for key, value in verdict.items() if value not in (None, "n/a"))
    lines += ["", f"Verdict: {told}", ""]
    if written["ask_back"]:
        lines += [f"Asks: {written['ask_back']}", ""]
    for number, step in enumerate(answer.verdict.derivation if not answer.abstained else (), start=1):
        lines.append(f"{number}. `{step.rule}`: {step.says}")
    lines += [f"- contradiction: {fault.fact}: {fault.stated} against {fault.concluded} (`{fault.rule}`)" for fault in answer.verdict.contradictions]
    lines += [""] if answer.verdict.derivation and not answer.abstained else []
    lines += [f"- [{cited.n}] {cited.url}" for cited in answer.citations]
    return [*lines, ""]


def conversation(turns: tuple[str, ...]) -> str:
    """The snapshot of a question or of several in one conversation."""
    lines: list[str] = []
    earlier = None
    for turn in turns:
        earlier = assistant().ask(turn, earlier)
        lines += snapshot(earlier)
    return "\n".join(lines).rstrip() + "\n"


@pytest.mark.parametrize("slug", QUESTIONS)
def test_the_answer_is_the_reviewed_one(slug: str, request: pytest.FixtureRequest) -> None:
    path = FOLDER / f"{slug}.md"
    found = conversation(QUESTIONS[slug])
    if request.config.getoption("--update-answers"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8", newline="\n")
    assert path.is_file(), f"write it: pytest {Path(__file__).name} --update-answers, and read it"
    assert found == path.read_text(encoding="utf-8"), "an answer changed: if it is right now, pytest --update-answers, and tell it in CHANGELOG.md"


def test_every_snapshot_belongs_to_a_question() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(QUESTIONS)
