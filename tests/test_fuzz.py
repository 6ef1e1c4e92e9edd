"""
Mutated questions: no exception, a second at most, and a firm verdict rests on nothing that nobody said.

`KB_FUZZ=20000 pytest tests/test_fuzz.py -m slow` tries that many; `KB_FUZZ_SEED` draws others.
"""

from __future__ import annotations

import functools
import json
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.answer import Answer
from kb.chain import Assistant
from kb.engine import load_knowledge

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "tests" / "questions").glob("*.jsonl"), *(ROOT.parent / "shared" / "eval").glob("*.jsonl")])
COUNT = int(os.environ.get("KB_FUZZ", "1000"))
SEED = int(os.environ.get("KB_FUZZ_SEED", "1"))
SECONDS = 1.0  # for one answer, on a machine that does other things too
INSERTS = [
    "not", "never", "only", "while holding a spin lock", "at DISPATCH_LEVEL", "at PASSIVE_LEVEL", "in my ISR", "from paged pool", "under a fast mutex", "on Windows 7", "(locked by an MDL)",
    "zero timeout", "Wait = TRUE", "FLT_PREOP_SYNCHRONIZE", "in a completion routine", "ZwCreateFile", "KeSetEvnt", "0xD1", "[1]", "```c\nKeAcquireSpinLock(&l, &i);\n```", "\u0000", "\u202e", "🙂", "|", "\\",
]  # fmt: skip


@functools.cache
def assistant() -> Assistant:
    """The assistant on the built-in knowledge, without an index."""
    made = Assistant(load_knowledge(), Path("no-index"))
    made.ask("Why is paged pool paged?")  # articles are loaded at the first use; that is not what is measured
    return made


def questions() -> list[str]:
    """Every question and every turn of the question files."""
    found = []
    for path in SOURCES:
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            found += [turn["user"] for turn in entry["turns"]] if "turns" in entry else [entry["question"]] if "question" in entry else []
    return found


def mutated(count: int, seed: int) -> Iterator[tuple[str, str | None]]:
    """Questions with words dropped, moved, doubled, misspelt, joined and inserted, and sometimes what was asked before."""
    draw = random.Random(seed)
    known = questions()
    for _ in range(count):
        words = draw.choice(known).split(" ")
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(words))
            kind = draw.randrange(8)
            if kind == 0 and len(words) > 1:
                del words[at]
            elif kind == 1:
                words.insert(at, words[draw.randrange(len(words))])
            elif kind == 2:
                other = draw.randrange(len(words))
                words[at], words[other] = words[other], words[at]
            elif kind == 3 and len(words[at]) > 3:
                letter = draw.randrange(len(words[at]) - 1)
                words[at] = words[at][:letter] + words[at][letter + 1] + words[at][letter] + words[at][letter + 2 :]
            elif kind == 4:
                words.insert(at, draw.choice(INSERTS))
            elif kind == 5:
                words[at] = draw.choice([words[at].upper(), words[at].lower(), words[at] + "s", "`" + words[at] + "`", "“" + words[at] + "”"])
            elif kind == 6:
                words += draw.choice(known).split(" ")
            else:
                words = words[:at] or words
        yield " ".join(words), draw.choice(known) if draw.random() < 0.2 else None


def loose(text: str) -> str:
    """A text without the blanks and signs that reading drops, to look for a span in it."""
    return re.sub(r"[^a-z0-9%]+", "", text.lower())


def unfounded(answer: Answer, said: str) -> list[dict[str, Any]]:
    """The facts of a firm answer that are neither a span of the text, nor a shown assumption, nor derived."""
    written = answer.to_json()
    if written["verdict"]["outcome"] not in ("allowed", "forbidden") or written["abstained"]:
        return []
    knowledge = assistant().knowledge
    derived = {rule.id for rule in knowledge.rules} | {f"{row.table}/{row.id}" for row in knowledge.terms.rows()}
    shown = {fact.name for fact in answer.question.facts if fact.assumed} | set(answer.verdict.assumed)
    text = loose(said)
    found = []
    for fact in written["facts"]:
        origin = str(fact["from"]).removesuffix(" (carried over)")
        if fact["assumed"]:
            if fact["name"] not in shown:
                found.append(fact)
        elif origin not in derived and not origin.startswith("ddi/") and not all(span and span in text for span in (loose(part.removeprefix("not ")) for part in origin.split("; "))):
            found.append(fact)
    return found


def attempt(text: str, earlier: str | None) -> list[str]:
    """What is wrong with the answer to one mutated question."""
    faults = []
    asked = assistant()
    try:
        before = asked.ask(earlier) if earlier is not None else None
        start = time.perf_counter()
        answer = asked.ask(text, before)
        seconds = time.perf_counter() - start
        json.dumps(answer.to_json())
    except Exception as error:  # noqa: BLE001 - this is what the test looks for
        return [f"{type(error).__name__}: {error} <- {text!r} after {earlier!r}"]
    if seconds > SECONDS:
        faults.append(f"{seconds:.2f} s <- {text!r}")
    marks = {int(mark) for mark in re.findall(r"\[(\d+)\](?!\()", re.sub(r"```.*?```", "", answer.markdown, flags=re.S))}
    if not {cited.n for cited in answer.citations} <= marks:
        faults.append(f"a citation is not used <- {text!r}")
    faults += [f"{fact['name']} = {fact['value']} from {fact['from']!r} <- {text!r} after {earlier!r}" for fact in unfounded(answer, f"{earlier or ''} {text}")]
    return faults


def check(count: int, seed: int) -> None:
    """Ask *count* mutated questions and fail with the first faults of each sort."""
    faults = [fault for text, earlier in mutated(count, seed) for fault in attempt(text, earlier)]
    assert not faults, f"{len(faults)} faults in {count} questions:\n" + "\n".join(fault[:400] for fault in faults[:12])


def test_a_few_mutated_questions() -> None:
    check(40, SEED)


@pytest.mark.slow
def test_many_mutated_questions() -> None:
    check(COUNT, SEED + 1)


def test_a_fact_that_nobody_stated_is_found() -> None:
    answer = assistant().ask("Can a DPC touch paged pool?")
    assert unfounded(answer, "Can a DPC touch paged pool?") == []
    assert {fact["name"] for fact in unfounded(answer, "Can a work item touch it?")} >= {"routine", "memory.pool"}
