"""Mentions in, kernel objects out whose storage the text speaks of."""

from __future__ import annotations

from dataclasses import replace

from kb.question.bystanders import sentences
from kb.question.calls import acts_of, calls_in
from kb.question.locks import held_by_cue, is_taken
from kb.question.reading import Reading
from kb.question.words import Mention, singular
from kb.terms import Row

BEGINNING = 5  # words in which a text names the thing it asks about
ARGUMENT_NEAR = 6  # words between a call and an argument of it
HOLDERS = {"struct", "structure", "block", "record", "context"}
ALLOCATED_BY = {"with", "by", "from", "using", "via", "through"}
POINTING = {"point", "points", "pointed", "pointing", "refer", "refers", "reference", "references"}
LINKED_LENGTH = 34  # words up to which an object named beside a routine that takes it is what the question is about


def object_rows(reading: Reading) -> list[Row]:
    """Rows of the objects named."""
    long = len(reading.tokens) > LINKED_LENGTH
    found = [
        reading.terms.row("objects", one.value) for one in stored_objects(reading) if not long or "_" in one.words or one.words[1:] != one.words[1:].lower() and len(one.words) > 6
    ]
    return [row for row in found if row is not None]


def stored_objects(reading: Reading) -> list[Mention]:
    """Objects whose storage the text speaks of; a lock that only protects something is not one."""
    locks = {one.first for one in reading.rows("locks")}
    storing = {reading.numbers[first] for key, first, _ in reading.cues("acts") if key == "store"}
    words = {token.word for token in reading.tokens}
    short = len(reading.tokens) <= 18 or "storage" in words or bool(words & {"where"}) and bool(words & {"allocated", "live", "put", "stored", "reside", "kept", "allocate"})
    placed = {reading.numbers[one.first] for one in (*reading.pool_mentions(), *reading.named_facts("memory.place"))}
    found = []
    for one in reading.rows("objects"):
        if is_embedded(reading, one):
            found.append(one)
            continue
        after = {token.word for token in reading.tokens[one.last + 1 : one.last + 4]}
        taken = is_taken(reading, one) and not after & {"in", "inside", "from"} and one.clause not in storing
        if one.first in locks and (after & {"protect", "guard", "held", "serialize"} or held_by_cue(reading, one) or taken):
            continue
        inside = [token.word for token in reading.tokens[one.last + 1 : one.last + 3]]
        offered = one.first <= 1 and (bool(reading.cues("pool_question")) or any(0 < pool.first - one.last <= 6 for pool in reading.pool_mentions()))
        lies = len(inside) == 2 and inside[0] in ("in", "inside", "within") and inside[1] in ("a", "my", "the", "our", "paged", "nonpaged", "this")
        turned_to = one.first <= BEGINNING and any({"it", "that", "this"} & {token.word for at, token in enumerate(reading.tokens) if reading.numbers[at] == number} for number in storing)
        if turned_to or one.first not in locks or one.clause in storing or short or one.clause in placed or lies or offered or is_embedded(reading, one):
            found.append(one)
    return found


def is_embedded(reading: Reading, mention: Mention) -> bool:
    """Whether an object is said to be part of something: `40 fields, one of them an ERESOURCE`, `contains a KEVENT`, `with a KTIMER in it`."""
    before = [token.word for token in reading.tokens[max(0, mention.first - 4) : mention.first]]
    after = [token.word for token in reading.tokens[mention.last + 1 : mention.last + 3]]
    return (
        before[:3] == ["one", "of", "them"]
        or bool({"inside", "within"} & set(before[:2]) and {"there", "there's", "is", "are"} & set(before))  # "inside there's a FAST_MUTEX"
        or bool(set(before) & {"contain", "contains", "containing", "embed", "embeds", "embedded", "embedding"})
        or after in (["in", "it"], ["inside", "it"])
        or len(before) == 4 and before[1] in HOLDERS and before[2:] in (["with", "the"], ["with", "a"], ["with", "my"], ["with", "our"])  # "the struct with the KTIMER"
    )


def implied_objects(reading: Reading) -> list[Mention]:
    """Objects that a routine's name and one word imply: the `context` handed to a routine that takes one, the `nodes` of an interlocked list."""
    words = {token.word for token in reading.tokens}
    found = []
    for one in calls_in(reading):
        for row in reading.terms.tables.get("objects", {}).values():
            if one.value in documented(reading, row, "ddis") and ("context" in row.id and words & {"context", "ctx"} or "Init" in one.value and not words & {"entry", "element", "block"}):
                found.append(replace(one, kind="row", table="objects", value=row.id))
    return found or called_objects(reading)


def allocated_objects(reading: Reading) -> list[str]:
    """Objects that the text says are allocated: `I allocate the WNODE_EVENT_ITEM`."""
    locks = {one.first for one in reading.rows("locks")}
    ends = [last for key, _, last in reading.cues("acts") if key == "allocate"]
    told = [one.value for one in reading.rows("objects") if one.first not in locks and any(0 < one.first - last <= 3 for last in ends)]
    calls = [one for one in calls_in(reading) if "allocate" in acts_of(reading, one.value)]
    for one in reading.rows("objects"):  # `FltAllocateContext(filter, FLT_VOLUME_CONTEXT, size, PagedPool, &p)`
        row = reading.terms.row("objects", one.value)
        if row is not None and (one.words.isupper() or "_" in one.words) and any(call.value in (row.more.get("ddis") or ()) and 0 < one.first - call.last <= ARGUMENT_NEAR for call in calls):
            told.append(one.value)
            continue
        after = next((at for at in range(one.last + 1, min(one.last + 1 + ARGUMENT_NEAR, len(reading.tokens))) if reading.tokens[at].word in ALLOCATED_BY), 0)
        if "_" in one.words and after and any(row.first == after + 1 and row.clause == one.clause for row in reading.rows("allocators")):
            told.append(one.value)  # "I build the RTL_QUERY_REGISTRY_TABLE dynamically with ExAllocatePool2(POOL_FLAG_PAGED, ...)"
    return list(dict.fromkeys(told))


def called_objects(reading: Reading) -> list[Mention]:
    """Objects that a call makes of the memory whose pool is asked: `nodes` that an interlocked list routine links."""
    pools = {*(one.first for one in reading.pool_mentions()), *(first for _, first, _ in reading.cues("pool_question"))}
    asked = {at for first, last in sentences(reading.tokens) if any(first <= at <= last for at in pools) for at in range(first, last + 1)}
    asked -= {at for at in asked if POINTING & {token.word for token in reading.tokens[at + 1 : at + 4]}}  # "may the text that the entry points to be paged?"
    words = {reading.tokens[at].word for at in asked}
    rows = [row for row in reading.terms.tables.get("objects", {}).values() if words & {singular(part) for part in row.more.get("parts") or ()}]
    found = {row.id: replace(one, kind="row", table="objects", value=row.id) for one in reversed(calls_in(reading)) for row in rows if one.value in documented(reading, row, "called")}
    return list(found.values())


def documented(reading: Reading, row: Row, column: str) -> set[str]:
    """The names in a column of routines, as their pages call them: a dispatch table's function is documented by its type."""
    names = [str(name) for name in row.more.get(column) or ()]
    return {ddi.name if (ddi := reading.ddi_table.find(name)) is not None else name for name in names}


def place_is_alternative(reading: Reading) -> bool:
    """Whether a place is offered beside a pool (`stack, paged, nonpaged?`) rather than stated."""
    for place in reading.named_facts("memory.place"):
        for pool in reading.pool_mentions():
            first, second = sorted((place, pool), key=lambda one: one.first)
            between = {token.word for token in reading.tokens[first.last + 1 : second.first]}
            if between and between <= {",", "or", "must", "be", "/", "paged", "nonpaged", "from"}:
                return True
    return False
