"""Pages cut into chunks that the model reads whole."""

from __future__ import annotations

import functools

import pytest

from ingest.chunks import Splitter, embedded
from ingest.pages import Page, Section
from kb.embedding import MAX_TOKENS, Tokens, packaged_folder, said


@functools.cache
def tokens() -> Tokens:
    return Tokens(packaged_folder())


def page(*sections: Section, title: str = "Title") -> Page:
    return Page("kernel/x", title, "https://x/kernel/x", "page", "s", ("X",), list(sections))


@pytest.mark.slow
def test_no_chunk_is_cut_off_and_no_word_is_lost() -> None:
    words = [f"word{number}" for number in range(900)]
    table = "\n".join(f"row {number} | {number}" for number in range(300))
    one = page(Section("", blocks=[" ".join(words[:450]), "Short."]), Section("a", "A", (), "a", [" ".join(words[450:]), table, "x" * 3000]))
    chunks = Splitter(tokens()).split(one)
    assert all(len(ids) <= MAX_TOKENS for ids in tokens().ids([chunk.full for chunk in chunks]))
    assert max(tokens().count([chunk.full for chunk in chunks])) <= MAX_TOKENS - 2
    joined = " ".join(chunk.text for chunk in chunks)
    assert all(word in joined for word in words)
    assert all(f"row {number} | {number}" in joined for number in range(300))


def test_small_blocks_are_joined_and_headings_never_are() -> None:
    chunks = Splitter(tokens()).split(page(Section("", blocks=["One.", "Two."]), Section("a", "A", (), "a", ["Three."])))
    assert [(chunk.id, chunk.text, chunk.full) for chunk in chunks] == [("kernel/x#~000", "One.\nTwo.", "Title\nOne.\nTwo."), ("kernel/x#a~000", "Three.", "Title > A\nThree.")]
    assert [chunk.url for chunk in chunks] == ["https://x/kernel/x", "https://x/kernel/x#a"]


def test_a_section_split_in_two_and_a_name_used_twice_keep_their_ids_apart() -> None:
    chunks = Splitter(tokens()).split(page(Section("a", "A", (), "a", ["w " * 300]), Section("a", "A", (), "a-1", ["again"])))
    assert len({chunk.id for chunk in chunks}) == len(chunks) == 3
    assert [chunk.place for chunk in chunks] == [0, 1, 2]
    assert chunks[-1].url.endswith("#a-1")


def test_endless_titles_leave_room_for_the_text() -> None:
    chunks = Splitter(tokens()).split(page(Section("a", "B " * 400 + " > " + "C " * 300, (), "a", ["text"]), title="A" * 900 + " b" * 500))
    assert tokens().count([chunks[0].prefix])[0] <= 100
    assert chunks[0].text == "text"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("May I call `ExFreePool` at DISPATCH_LEVEL?", "May I call ExFreePool at DISPATCH LEVEL"),
        ("An IRQL, the one that a DPC has:\n- *DISPATCH_LEVEL*", "IRQL one that DPC has\nDISPATCH LEVEL"),
        ("theory anode a_the", "theory anode a the"),
        ("Größe / größer", "Größe größer"),
        ("...", ""),
    ],
)
def test_marks_and_articles_are_not_embedded(text: str, left: str) -> None:
    assert said(text) == left


def test_what_is_embedded_keeps_every_word_that_says_something() -> None:
    text = embedded("ddi", "remarks", "KeWaitForSingleObject function (wdm.h)", "Remarks", "If Timeout is zero, the caller may be at DISPATCH_LEVEL.")
    assert text == "KeWaitForSingleObject function Remarks\nIf Timeout is zero caller may be at DISPATCH LEVEL"
