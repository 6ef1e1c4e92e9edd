"""
What is read from a text: one table of questions, facts and texts that state none, and a few tests of kinds, words and follow-ups.

`questions/facts.jsonl` was written from the texts alone. Of an entry, `states` must be among the facts of a use or of all
uses (a list: any of its values), `not` must be in none (`*`: no place, pool, argument or version but those in `states`),
`uses` and `not_uses` are facts that one use must, or must not, hold together. `earlier` is the question before.
`todo` says why an entry is not read rightly yet.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kb.engine import load_knowledge
from kb.question import Question, Reader

ENTRIES: list[dict[str, Any]] = [json.loads(line) for line in (Path(__file__).parent / "questions" / "facts.jsonl").read_text(encoding="utf-8").splitlines()]
SUBJECTS = frozenset({"act", "ddi", "object", "acquired", "allocator", "driver.model", "unsure", "said.pool"})
"""What is asked about, and the reader's own notes; `*` leaves them out."""
KEYS = {"id", "question", "earlier", "kind", "states", "not", "uses", "not_uses", "rows", "unknown", "bugcheck", "todo"}
PARAMETERS = [pytest.param(entry, id=entry["id"], marks=[pytest.mark.xfail(reason=entry["todo"], strict=True)] if "todo" in entry else []) for entry in ENTRIES]


@functools.cache
def reader() -> Reader:
    """The reader, with the vocabulary of the knowledge files."""
    knowledge = load_knowledge()
    return Reader(knowledge.terms, knowledge.ddis)


def read(text: str, earlier: str | None = None) -> Question:
    """A question as it is read, after another one where *earlier* is given."""
    return reader().read(text, reader().read(earlier) if earlier is not None else None)


def values(value: object) -> tuple[str, ...]:
    """The values of one fact: locks are several."""
    return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)


def has(facts: Mapping[str, Any], name: str, wanted: object) -> bool:
    """Whether facts hold one of the wanted values."""
    return name in facts and bool(set(values(facts[name])) & set(values(wanted)))


def stated(question: Question) -> Iterator[tuple[str, str]]:
    """Every fact of a use or of the whole question, with each of its values; a routine asked about is a fact `ddi` too."""
    for facts in (*question.uses, question.shared):
        for name, value in facts.items():
            for one in values(value):
                yield name, one
    for name in question.ddis:
        yield "ddi", name


def faults(entry: Mapping[str, Any], question: Question) -> list[str]:
    """What is wrong with a reading."""
    facts = set(stated(question))
    states, found = entry["states"], []
    if "kind" in entry and question.kind != entry["kind"]:
        found.append(f"kind is {question.kind}, not {entry['kind']}")
    for name, wanted in states.items():
        if not any((name, one) in facts for one in values(wanted)):
            found.append(f"does not read {name} = {wanted}")
    for one in entry.get("not", ()):
        name, _, value = one.partition("=")
        wrong = sorted(fact for fact in facts if (fact[0] not in SUBJECTS and fact[1] not in values(states.get(fact[0], ())) if one == "*" else fact[0] == name and value in ("", fact[1])))
        found += [f"reads {name} = {value}, which is not stated" for name, value in wrong]
    for wanted in entry.get("uses", ()):
        if not any(all(has({**question.shared, **use}, name, value) for name, value in wanted.items()) for use in question.uses):
            found.append(f"no use with {wanted}")
    for unwanted in entry.get("not_uses", ()):
        if any(all(has(use, name, value) for name, value in unwanted.items()) for use in question.uses):
            found.append(f"a use with {unwanted}")
    for row in entry.get("rows", ()):
        if tuple(row.split(":")) not in question.rows:
            found.append(f"does not name {row}")
    if "unknown" in entry and tuple(entry["unknown"]) != question.unknown_names:
        found.append(f"unknown names are {question.unknown_names}")
    if "bugcheck" in entry:
        wanted = entry["bugcheck"]
        code = question.bugcheck
        if wanted is None and code is not None:
            found.append(f"reads the stop code {code.row}")
        elif wanted is not None:
            got = {"row": code.row, **{str(place): value for place, value in code.parameters.items()}} if code is not None else {}
            found += [f"stop code: {name} is {got.get(name)}, not {value}" for name, value in wanted.items() if got.get(name) != value]
    return found


@pytest.mark.parametrize("entry", PARAMETERS)
def test_reading(entry: dict[str, Any]) -> None:
    question = read(entry["question"], entry.get("earlier"))
    wrong = faults(entry, question)
    assert not wrong, "\n".join([entry["question"], *wrong, f"uses: {[dict(use) for use in question.uses]}", f"shared: {dict(question.shared)}"])
