"""
What is read from a text: one table of questions, facts and texts that state none, and a few tests of kinds, words and follow-ups.

`questions/facts.jsonl` was written from the texts alone. Of an entry, `states` must be among the facts of a use or of all
uses (a list: any of its values), `not` must be in none (`*`: no place, pool, argument or version but those in `states`),
`uses` and `not_uses` are facts that one use must, or must not, hold together. `earlier` is the question before.
`todo` says why an entry is not read rightly yet; `python -m tests.test_question` lists them, and those whose `todo` can go.
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


@functools.cache
def read(text: str, earlier: str | None = None) -> Question:
    """A question as it is read, once, after another one where *earlier* is given."""
    return reader().read(text, read(earlier) if earlier is not None else None)


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
        named = (
            (fact for fact in facts if fact[0] not in SUBJECTS and fact[1] not in values(states.get(fact[0], ())))
            if one == "*"
            else (fact for fact in facts if fact[0] == name and value in ("", fact[1]))
        )
        wrong = sorted(named)
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
    if wrong:
        pytest.fail("\n".join([entry["question"], *wrong, f"uses: {[dict(use) for use in question.uses]}", f"shared: {dict(question.shared)}"]), pytrace=False)


KINDS = {
    "Which pool for a table that a DPC reads?": "decision",
    "Up to which IRQL may I call IoFreeMdl?": "api_irql",
    "Why must a DPC not touch paged pool?": "why",
    "DRIVER_IRQL_NOT_LESS_OR_EQUAL (d1), Arg2: 2": "bugcheck",
    "What replaces ExAllocatePoolWithTag?": "migration",
    "What is kmalloc with GFP_ATOMIC in a Windows driver?": "linux",
    "At which IRQL does an EvtIoRead callback run?": "context",
    "Where may a KEVENT live?": "object_storage",
    "```c\np = ExAllocatePool2(POOL_FLAG_PAGED, 64, 'gaTX');\n```": "code",
    "How do I find a pool leak?": "howto",
    "How do I tune the JVM heap?": "out_of_scope",
}


@pytest.mark.parametrize("text", KINDS)
def test_kind(text: str) -> None:
    assert read(text).kind == KINDS[text]


def letters(text: str) -> str:
    """A text without blanks, hyphens and quotation marks, which words as they are kept leave out."""
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter in "_%<>=")


def test_each_fact_names_words_of_the_text() -> None:
    wrong = []
    for entry in ENTRIES:
        question = read(entry["question"])
        for fact in question.facts:
            for words in fact.words.removeprefix("not ").split("; "):
                if letters(words) not in letters(entry["question"]):
                    wrong.append(f"{entry['id']}: {fact.name} = {fact.value} from {words!r}")
    assert not wrong, "\n".join(wrong)


def test_every_shared_fact_says_where_it_was_read() -> None:
    for entry in ENTRIES:
        question = read(entry["question"])
        assert set(question.shared) <= {fact.name for fact in question.facts}, entry["question"]


def test_a_pool_is_proposed_only_when_one_is_named() -> None:
    assert read("Can a DPC touch paged pool?").proposed == "paged"
    assert read("Is NonPagedPoolNx fine in a DPC?").proposed == "nonpaged"
    assert read("Paged or nonpaged pool in a DPC?").proposed == ""
    assert read("Which pool in a DPC?").proposed == ""


def test_a_misspelt_name_is_corrected_and_told() -> None:
    assert read("KeSetEvnt in a DPC?").corrected == (("KeSetEvnt", "KeSetEvent"),)
    assert read("KeSetEvent in a DPC?").corrected == ()


def test_a_follow_up_says_what_it_took_over() -> None:
    question = read("and a work item?", "Can a DPC touch paged pool?")
    assert "memory.pool" in question.carried
    assert read("At which IRQL may I call PsTerminateSystemThread?", "Can a DPC touch paged pool?").carried == ()


def test_code_in_the_text_is_kept_apart() -> None:
    question = read("Is this fine in a DPC?\n```c\np = ExAllocatePool2(POOL_FLAG_PAGED, n, TAG);\n```")
    assert question.snippets == ("p = ExAllocatePool2(POOL_FLAG_PAGED, n, TAG);",)
    assert any(has(place, "routine", "dpc") for place in question.places)


@pytest.mark.parametrize("text", ["", " ", "?", "...", "\n\n", "0", "and", "DISPATCH_LEVEL", "🙂", "a" * 5000, "not " * 400])
def test_any_text_can_be_read(text: str) -> None:
    question = read(text)
    assert question.text == text
    assert read(text, "Can a DPC touch paged pool?").text == text


def test_reading_twice_gives_the_same() -> None:
    for entry in ENTRIES[::20]:
        assert reader().read(entry["question"]) == read(entry["question"])


def test_the_table_is_in_order() -> None:
    ids = [entry["id"] for entry in ENTRIES]
    facts = load_knowledge().terms.facts
    assert len(ids) == len(set(ids))
    assert all(set(entry) <= KEYS and {"id", "question", "states"} <= set(entry) for entry in ENTRIES)
    named = {name for entry in ENTRIES for part in (entry["states"], *entry.get("uses", ()), *entry.get("not_uses", ())) for name in part}
    named |= {one.partition("=")[0] for entry in ENTRIES for one in entry.get("not", ()) if one != "*"}
    assert named - set(facts) - {"claim.lowest", "claim.highest"} == set()
    assert len(ENTRIES) >= 320
    assert sum(not entry["states"] for entry in ENTRIES) * 3 >= len(ENTRIES), "a third of the texts state nothing"


if __name__ == "__main__":
    for entry in ENTRIES:
        wrong = faults(entry, read(entry["question"], entry.get("earlier")))
        if wrong or "todo" in entry:
            print(f"{entry['id']}: {entry.get('todo') or 'NEW'}{'' if wrong else ' (READ RIGHTLY NOW)'}\n    {entry['question']}\n    {'; '.join(wrong)}")
