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
