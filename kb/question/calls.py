"""Mentions in, documented routines that a driver calls out: which are asked about, and which only told of."""

from __future__ import annotations

from kb.question.reading import Reading
from kb.question.routines import is_implemented, only_registers
from kb.question.words import Mention

SAYING = frozenset("print prints printed return returns returned show shows showed give gives gave say says said report reports reported tell tells told".split())


def calls_in(reading: Reading) -> list[Mention]:
    """Documented routines that the text names and a driver calls; a routine of the driver's own is not among them."""
    routines = {(one.first, one.last) for one in reading.rows("routines", negated=True)}
    facts = {one.first for one in reading.mentions if one.kind == "fact" and one.table == "memory.locked" and is_told(reading, one)}
    return [
        one
        for one in reading.mentions
        if one.kind == "ddi"
        and not one.negated
        and not is_implemented(reading, one)
        and (one.first, one.last) not in routines
        and one.first not in facts
        and not only_registers(reading, one)
        and not was_called(reading, one)
        and not is_origin(reading, one)
        and not (one.table == "spoken" and is_by_the_way(reading, one))
    ]


def is_by_the_way(reading: Reading, mention: Mention) -> bool:
    """Whether a call said without its name is only told: the question is which pool (`I set the timer, its DPC reads the table`), or follows `even if`."""
    words = [token.word for at, token in enumerate(reading.tokens[: mention.first]) if reading.numbers[at] == mention.clause]
    return bool(reading.cues("pool_question")) and not is_asked(reading, mention) or words[:1] == ["even"] or words[:2] == [",", "even"]


def is_told(reading: Reading, mention: Mention) -> bool:
    """Whether a call is told as something done before, not asked about: `was called at StartDevice`, `already`."""
    if reading.speaks_of_pool() and not is_asked(reading, mention) and len(reading.tokens) > 18:
        return True
    clause = {reading.tokens[at].word for at in range(len(reading.tokens)) if reading.numbers[at] == mention.clause}
    return bool(clause & {"was", "were", "before", "already", "earlier", "after", "have", "did"})


def was_called(reading: Reading, mention: Mention) -> bool:
    """Whether the text tells that the routine was called elsewhere: `IoQueueWorkItem was called in a DPC`."""
    after = [token.text.lower() for token in reading.tokens[mention.last + 1 : mention.last + 4]]
    return len(after) >= 2 and (after[0] in ("was", "were") and after[1] in ("called", "made", "done", "used", "invoked") or after[0] in ("happened", "happens", "ran"))


def is_origin(reading: Reading, mention: Mention) -> bool:
    """Whether a call only says where the memory is from: `the buffer comes from WdfMemoryCreate(PagedPool)`."""
    before = [token.word for token in reading.tokens[max(0, mention.first - 2) : mention.first]]
    return len(before) == 2 and before[1] == "from" and before[0] in ("come", "came", "coming", "originate", "originated") and not is_asked(reading, mention)


def is_background(reading: Reading, mention: Mention) -> bool:
    """
    Whether a call is only background: alone in parentheses, how something was done, or what a level is known of.

    `built over nonpaged pool (MmBuildMdlForNonPagedPool)`, `the IRP is queued with IoStartPacket`, `X is passive only, so Y`.
    """
    before = [token.word for token in reading.tokens[max(0, mention.first - 4) : mention.first]]
    after = [token.word for token in reading.tokens[mention.last + 1 : mention.last + 5]]
    if before[-1:] == ["("] and after[:1] == [")"] or before[-1:] in (["since"], ["because"]):
        return True  # "since KeSetEvent is fine there" compares
    if before[-1:] and before[-1] in ("with", "by", "via", "through") and {"is", "are", "was", "wa", "were", "get", "gets", "been"} & set(before):
        return True
    if set(after[:2]) & SAYING:
        return True  # "KeGetCurrentIrql still prints 0"
    return after[:1] == ["is"] and "only" in after


def is_asked(reading: Reading, mention: Mention) -> bool:
    """Whether `can I`, `may I`, `ok to` and the like govern the mention's clause before it."""
    before = [token.word for at, token in enumerate(reading.tokens[: mention.first]) if reading.numbers[at] == reading.numbers[mention.first]]
    return any(word in ("can", "may", "could", "allowed", "ok", "legal", "safe", "should") for word in before[-8:])


def sentence_asks(reading: Reading, mention: Mention) -> bool:
    """Whether the sentence of a mention ends with a question mark, or begins as a question does: `can X be called in a DPC`."""
    for token in reading.tokens[mention.last + 1 :]:
        if token.text in (".", "!", ";") or token.text == "?":
            if token.text == "?":
                return True
            break
    start = next((at + 1 for at in range(mention.first - 1, -1, -1) if reading.tokens[at].text in (".", "!", ";", "?", ":")), 0)
    return reading.tokens[start].word in ("can", "may", "could", "is", "are", "should", "does", "doe", "would", "will", "must")


def is_wait(reading: Reading, name: str) -> bool:
    """Whether a documented routine is a wait: its level depends on the time-out."""
    ddi = reading.ddi_table.find(name)
    return ddi is not None and any("wait.timeout" in row.when for row in ddi.rows)


def acts_of(reading: Reading, name: str) -> set[str]:
    """What calling this routine does to memory: a row of allocators.yaml names it as one that allocates or releases."""
    acts = set()
    for row in reading.terms.tables.get("allocators", {}).values():
        if name in row.names and (row.more.get("allocate") or row.more.get("gives")):
            acts.add("free" if row.more.get("act") == "free" or "Free" in name[:12] else "allocate")
        elif name in ((row.more.get("release") or {}).get("with") or ()):
            acts.add("free")
    return acts
