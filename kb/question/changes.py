"""Mentions in, mentions out: a lock or routine that the text says is no more is denied, and what took its place is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kb.question.words import Mention, Token

CHANGES = frozenset("replace replaced replacing swap swapped switch switched change changed convert converted turn turned rewrote rewritten exchanged".split())
MOVED = {"moved", "migrated", "ported", "shifted"}
CODE = frozenset("code acces access accesse processing work logic handling reading read everything routine".split())  # "moved the access from the DPC to a work item"
REMOVED = {"replaced", "removed", "dropped", "eliminated", "scrapped", "retired", "abandoned", "deleted", "killed"}
INTO = {"by", "with", "into", "to", "for", "as"}
IS = frozenset("is are was were has ha have been got get be".split())
GONE = {"removed", "gone", "eliminated", "deleted", "replaced", "scrapped", "retired", "history", "dropped"}
RELEASED = {"released", "unlocked", "dropped"}
STILL_HELD = frozenset("after afterward afterwards once later when at by on only until in".split())  # "is released after I read it"
AGAIN = {"still", "reacquire", "reacquired", "retake", "retaken", "relock"}  # "removed from the reader, but the writer still holds it"
NOW = {"now", "today", "nowaday", "currently", "meanwhile", "anymore"}
ASKS = frozenset("can should may must could would do does doe is are will how what why which shall".split())
ARTICLES = frozenset("the a an my our that this its old all outer inner".split())
PLACES = ("routines", "locks")
REACH = 6  # words between what was and what is


def changed(mentions: Sequence[Mention], numbers: Sequence[int], tokens: Sequence[Token], used_to: Sequence[tuple[int, int]]) -> tuple[list[Mention], set[int], set[int]]:
    """
    Find the locks and routines that are told to be gone: `I replaced the spin lock by a fast mutex`, `our DPC became a work item`.

    Args:
        mentions: From `scoped`.
        numbers: From `clauses`.
        tokens: The text.
        used_to: First and last tokens of `used to` and the like.

    Returns:
        The mentions, those of what is gone negated; the first tokens of what is gone, and of what took its place.
    """
    places = [one for one in mentions if one.table in PLACES]
    gone: set[int] = set()
    successors: set[int] = set()
    for one in places:
        if is_gone(one, numbers, tokens):
            gone.add(one.first)
    for one, other in ((one, other) for one in places for other in places if one.table == other.table and one.last < other.first <= one.last + REACH):
        if numbers[one.first] == numbers[other.first] and becomes(one, other, numbers, tokens):
            gone.add(one.first)
            successors.add(other.first)
    for past, present in contrasts(numbers, tokens, used_to):
        new = [one for one in mentions if numbers[one.first] >= present and (one.table in PLACES or one.kind == "irql")]
        if new:
            gone |= {one.first for one in mentions if past <= numbers[one.first] < present and (one.table in PLACES or one.kind == "irql")}
            successors |= {one.first for one in new}
    gone -= successors
    return [replace(one, negated=True) if one.first in gone else one for one in mentions], gone, successors


def is_gone(mention: Mention, numbers: Sequence[int], tokens: Sequence[Token]) -> bool:
    """Whether a lock or routine is told to be gone by the words about it: `the lock was removed`, `I dropped the spin lock`, `the lock is released before ...`."""
    clause = [at for at in range(len(tokens)) if numbers[at] == numbers[mention.first]]
    if AGAIN & {token.word for token in tokens}:
        return False
    after = [tokens[at].word for at in range(mention.last + 1, min(mention.last + 6, len(tokens)))]
    told = next((at for at, word in enumerate(after) if word in GONE | RELEASED), -1)
    if told > 0 and after[0] in IS and not {"not", "never", "if", ",", ".", "?"} & set(after[:told]) and not asks(clause, tokens):
        word, following = after[told], (after[told + 1] if told + 1 < len(after) else ".")
        if word in RELEASED and mention.table == "locks":
            return following not in STILL_HELD
        return word in GONE and (mention.table == "locks" or word != "dropped" and following != "from")
    before = [tokens[at].word for at in clause if mention.first - 4 <= at < mention.first]
    if {"take", "took", "taking", "leave", "left"} & set(before) and after[:1] == ["out"] and not asks(clause, tokens):
        return True  # "take the completion routine out altogether"
    verb = next((at for at, word in enumerate(before) if word in REMOVED), -1)
    return verb >= 0 and set(before[verb + 1 :]) <= ARTICLES and not set(before[:verb]) & {"not", "never", "is", "was", "were"} and not asks(clause, tokens)


def becomes(old: Mention, new: Mention, numbers: Sequence[int], tokens: Sequence[Token]) -> bool:
    """Whether one thing is told to have become another: `turned the DPC into a work item`, `the lock, once a spin lock, is now a push lock`."""
    clause = [at for at in range(len(tokens)) if numbers[at] == numbers[old.first]]
    before = {tokens[at].word for at in clause if old.first - REACH <= at < old.first}
    between = [tokens[at].word for at in range(old.last + 1, new.first)]
    if {"not", "never"} & {*before, *between} or asks(clause, tokens):
        return False
    if {"became", "become"} & set(between) or {"is", "now"} <= set(between) or {"are", "now"} <= set(between):
        return True
    if not INTO & set(between):
        return False
    moved = MOVED & before and CODE & before or MOVED & set(between) and set(between) & {"was", "were", "been"} and {"from", "to", "into"} & set(between)
    return bool(CHANGES & {*before, *between} or moved)


def asks(clause: Sequence[int], tokens: Sequence[Token]) -> bool:
    """Whether a clause begins as a question: `should I replace the spin lock by a mutex` changes nothing."""
    words = [tokens[at].word for at in clause if tokens[at].text[0].isalnum()]
    return bool(words) and words[0] in ASKS


def contrasts(numbers: Sequence[int], tokens: Sequence[Token], used_to: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Clauses that tell of the past, each with the first that tells of the present: `it used to run in a DPC; today only DriverEntry does`."""
    found = []
    for first, last in used_to:
        if first and tokens[first - 1].word in IS:
            continue  # "a timer is used to flush it"
        now = [numbers[at] for at in range(last + 1, len(tokens)) if tokens[at].word in NOW and numbers[at] != numbers[first]]
        if now:
            found.append((numbers[first], now[0]))
    return found
