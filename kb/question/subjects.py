"""Calls, locks and objects in, what the question asks about out."""

from __future__ import annotations

import re
from dataclasses import replace

from kb.question.bystanders import sentences
from kb.question.calls import calls_in, is_asked, is_background, is_wait, sentence_asks
from kb.question.locks import held_by_cue, is_held, is_the_lock
from kb.question.objects import implied_objects, is_embedded, object_rows, stored_objects
from kb.question.reading import Reading
from kb.question.routines import registered_by
from kb.question.words import Mention

VERB_LENGTH = 4  # letters of a noun that stands for a routine's verb


def subjects_of(reading: Reading, kind: str) -> tuple[list[tuple[str, str]], set[int]]:
    """
    What is called, acquired, waited for or stored: pairs of (`ddi` | `lock` | `object`, name), and the tokens that name them.

    A routine that acquires a lock is a subject only when nothing else is called under it.
    """
    calls = calls_in(reading)
    chosen = [one for one in calls if not is_held(reading, one, calls)] or (calls[:1] if kind != "decision" and not reading.speaks_of_pool() else [])
    chosen = [one for one in chosen if not is_background(reading, one)] or chosen
    if kind in ("decision", "context") or kind == "api_irql" and any(registered_by(reading, one) for one in chosen) and len(chosen) == 1 and reading.speaks_of_pool():
        chosen = [one for one in chosen if not registered_by(reading, one) or is_asked(reading, one)]
    asked = [one for one in chosen if sentence_asks(reading, one)]
    if asked and chosen and not sentence_asks(reading, chosen[0]) and kind in ("api_irql", "linux", "howto"):
        chosen = asked
    chosen = meant_by_verb(reading, chosen) or chosen
    if kind in ("api_irql", "migration") and len(chosen) == 1 and reading.cues("newer"):
        chosen = [replace(chosen[0], value=newer_of(reading, chosen[0].value))]
    if kind == "object_storage":
        linked = {row.id for row in object_rows(reading) if any(one.value in (row.more.get("ddis") or ()) for one in calls_in(reading))}
        stored = stored_objects(reading)
        objects = [one for one in reading.rows("objects") if one.value in linked] or stored or reading.rows("objects") or implied_objects(reading)
        objects = [one for one in objects if is_embedded(reading, one)] or objects
        near = [one for one in objects if one.clause == objects[0].clause] if objects else []
        return [("object", name) for name in dict.fromkeys(one.value for one in near)], {one.first for one in near}
    if chosen:
        first = chosen[0]
        picked = [first]
        for one in chosen[1:]:
            between = {token.word for token in reading.tokens[picked[-1].last + 1 : one.first]}
            if between <= {"/", "and", "or", ",", "+", "&"} and between:
                picked.append(one)
        waited = [
            one
            for one in reading.rows("locks")
            if not held_by_cue(reading, one)
            and (
                any(name in (reading.terms.tables["locks"][one.value].more.get("acquire") or ()) for name in (pick.value for pick in picked))
                or reading.terms.tables["locks"][one.value].more.get("may_wait") is True
                and any(is_wait(reading, pick.value) for pick in picked)
            )
        ]
        return (
            [*(("ddi", one.value) for one in dict.fromkeys(picked)), *(("lock", one.value) for one in waited[:1])],
            {one.first for one in (*picked, *waited)},
        )
    touching = {reading.numbers[first] for key, first, _ in reading.cues("acts") if key == "touch"}
    locks = [
        one
        for one in reading.rows("locks")
        if (not held_by_cue(reading, one) and not is_the_lock(reading, one) or is_asked(reading, one))
        and not (one.clause in touching and any(reading.tokens[at].word == "while" for at in range(one.last + 1, len(reading.tokens)) if reading.numbers[at] == one.clause))
    ]
    if locks and kind in ("api_irql", "linux", "context"):
        return [("lock", one.value) for one in locks[:1]], {one.first for one in locks[:1]}
    return [], set()


def meant_by_verb(reading: Reading, calls: list[Mention]) -> list[Mention]:
    """The one of several calls that a question means by its verb: `KeCancelTimer, then KeFlushQueuedDpcs. Is the flush ok?`."""
    asking = [range(first, last + 1) for first, last in sentences(reading.tokens) if reading.tokens[last].text == "?"]
    if len(calls) < 2 or any(one.first in span for one in calls for span in asking):
        return []
    named = {at for one in reading.mentions for at in range(one.first, one.last + 1)}
    nouns = {reading.tokens[at].word for span in asking for at in span if at not in named and at > span.start and reading.tokens[at - 1].word in ("the", "that", "this")}
    meant = [one for one in calls if (verb := verb_of(one.value)) and any(len(noun) >= VERB_LENGTH and (verb.startswith(noun) or noun.startswith(verb)) for noun in nouns)]
    return meant if len(meant) == 1 else []


def verb_of(name: str) -> str:
    """The first word of a routine's name after its prefix, in lower case: `flush` of `KeFlushQueuedDpcs`."""
    words = re.findall(r"[A-Z][a-z]+", name)
    return words[1].lower() if len(words) > 1 else ""


def newer_of(reading: Reading, name: str) -> str:
    """The documented routine that came after one: what its page names, or the same name with `Ex` or a figure; the name itself when there is none."""
    ddi = reading.ddi_table.find(name)
    names = [ddi.deprecated_by if ddi is not None else None, f"{name}Ex", f"{name}2"]
    found = next((known for one in names if one and (known := reading.ddi_table.find(one)) is not None), None)
    return found.name if found is not None else name
