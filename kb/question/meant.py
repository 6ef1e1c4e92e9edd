"""Short words of a follow-up in, what they mean after the question before out: facts, locks, objects and routines that are not named."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kb.question.calls import acts_of, calls_in
from kb.question.leaning import SHORT
from kb.question.reading import Reading
from kb.question.records import MEMORY_ACTS, Question, Use
from kb.question.words import singular

GIVEN_UP = frozenset("release released releasing drop dropped unlock unlocked gone removed remove eliminated".split())
BEGINNING = 4  # words in which a follow-up names the thing it turns to


def pending_facts(reading: Reading, earlier: Question) -> set[str]:
    """Names of the facts that the cases of the earlier question turn on: of its calls, its routines and its locks."""
    pending = set(earlier.shared)
    for name in dict.fromkeys((*earlier.ddis[:1], *(str(use["ddi"]) for use in earlier.uses if "ddi" in use))):
        ddi = reading.ddi_table.find(name)
        pending |= {fact for row in (ddi.rows if ddi is not None else ()) for fact in row.when}
    for use in earlier.uses:
        for table, key in (("routines", "routine"), ("locks", "lock")):
            value = use.get(key)
            for one in value if isinstance(value, tuple) else (value,):
                row = reading.terms.row(table, str(one))
                pending |= {fact for case in (row.more.get("cases") or () if row is not None else ()) for fact in case["when"]}
    return pending


def meant_facts(reading: Reading, earlier: Question, shared: Mapping[str, str]) -> dict[str, str]:
    """
    The facts of a short follow-up as the question before it lets them be meant.

    `KernelMode` is the mode of a wait by itself; after a question about a mapping it is where the pages are mapped to.
    """
    pending = pending_facts(reading, earlier)
    if len(reading.tokens) > BEGINNING + 1:
        return dict(shared)
    out: dict[str, str] = {}
    for name, value in shared.items():
        others = [fact for fact in sorted(pending - {name}) if (term := reading.terms.facts.get(fact)) is not None and value in term.values]
        out[others[0] if name not in pending and len(others) == 1 else name] = value
        for fact in others:
            if name in earlier.shared and earlier.shared.get(fact) == earlier.shared[name]:
                out[fact] = value  # both were told by the same words: `KernelMode` of a mapping
    return out


def bare_values(reading: Reading, earlier: Question) -> dict[str, str]:
    """
    Facts that single words state when the question before leaves only one thing they can mean.

    Args:
        reading: The follow-up's words: `and with TRUE?`, `10 ms?`, `and dispatch?`, `without that flag`.
        earlier: The question before.

    Returns:
        Fact to value.
    """
    pending = pending_facts(reading, earlier)
    found: dict[str, str] = {}
    words = [token.text for token in reading.tokens]
    lowered = {word.lower() for word in words}
    if "argument.wait" in pending and lowered & {"true", "false"}:
        found["argument.wait"] = "true" if "true" in lowered else "false"
    if "wait.timeout" in pending and re.search(r"\bzero\b|= ?0\b|\b0\b", reading.text, re.I):
        found["wait.timeout"] = "zero"
    elif "wait.timeout" in pending and (lowered & {"infinite", "forever", "infinitely"} or re.search(r"\b[1-9]\d*\s*(ms|msec|millisecond|second|sec|us)s?\b", reading.text, re.I)):
        found["wait.timeout"] = "nonzero"
    if "execution.level" in pending and len(words) <= 6 and not reading.cues("irql_question"):
        for mention in reading.mentions:
            if mention.kind == "irql" and mention.value in ("PASSIVE_LEVEL", "DISPATCH_LEVEL") and "level" not in mention.words.lower():
                found["execution.level"] = "passive" if mention.value == "PASSIVE_LEVEL" else "dispatch"
    codes = re.findall(r"%[-+0-9.]*[a-zA-Z]{1,3}", reading.text)
    if "unicode.conversion" in pending and codes:
        found["unicode.conversion"] = "true" if any(re.match(r"%[-+0-9.]*(?:[CS]|l[cs]|w[csZ])", code) for code in codes) else "false"
    if "without" in lowered and lowered & {"that", "the", "it"}:
        for name, value in earlier.shared.items():
            if value == "true":
                found[name] = "false"
    return found


def states_a_case(question: Question, reading: Reading, earlier: Question, shared: Mapping[str, str]) -> bool:
    """Whether a follow-up only tells of a case that the question before turns on, and names an object by the way: `the timer object has WdfExecutionLevelPassive`."""
    if question.kind != "object_storage" or earlier.kind == "object_storage" or question.asks_pool or any(token.text == "?" for token in reading.tokens):
        return False
    storing = any(key == "store" for key, _, _ in reading.cues("acts"))
    return not storing and bool(set(shared) & pending_facts(reading, earlier))


def lock_is_gone(reading: Reading, earlier: Question) -> bool:
    """Whether a follow-up takes the lock of the question before away: `I release it first`, `the lock is gone now`, `and when it is released before?`."""
    words = [token.word for token in reading.tokens]
    held = {lock for use in earlier.uses for lock in (use.get("lock") or ())}
    if not held or reading.rows("locks") or set(words) & {"not", "never", "can", "may", "should", "must"} or len(words) > SHORT:
        return False
    if any(one.first in reading.gone and one.value in held for one in reading.rows("locks", negated=True)):
        return True
    told = next((at for at, word in enumerate(words) if word in GIVEN_UP), -1)
    if "after" in words[told + 1 :]:
        return False  # "I release it after I read": held while it is read
    meant = {"it", "that", "lock", "spinlock", "mutex"} & {*words[max(0, told - 3) : told], *words[told + 1 : told + 4]}
    return told >= 0 and bool(meant) and len(held) == 1


def kindred_object(reading: Reading, earlier: Question) -> str:
    """An object named in place of the one before, made by the same routine: `what about a volume context` after a stream context."""
    rows = [reading.terms.row("objects", row) for table, row in earlier.rows if table == "objects"]
    makers = {str(name) for row in rows if row is not None for name in row.more.get("ddis") or ()}
    for one in reading.rows("objects"):
        row = reading.terms.row("objects", one.value)
        if row is not None and ("objects", row.id) not in earlier.rows and makers & {str(name) for name in row.more.get("ddis") or ()} and one.first <= BEGINNING:
            return row.id
    return ""


def other_call(reading: Reading, earlier: Question) -> str:
    """The routine that `the other one` or `the latter` means: one that the question before names beside the one it judged."""
    judged = {str(use["ddi"]) for use in earlier.uses if "ddi" in use}
    left = [name for name in earlier.ddis if name not in judged]
    return left[0] if left and judged and reading.cues("other_one") and not calls_in(reading) else ""


def acts_said(reading: Reading) -> list[str]:
    """What a follow-up says is done with the memory; the `create` of `post-create` is nothing done."""
    inside = {at for one in reading.mentions if one.kind == "ddi" or one.table == "routines" for at in range(one.first, one.last + 1)}
    return [key for key, first, _ in reading.cues("acts") if key in MEMORY_ACTS and first not in inside]


def released(reading: Reading, earlier: Question, before: list[Use], words: set[str]) -> str:
    """The routine that releases the lock a follow-up speaks of: `the first one` and `the second one` as named before, else the one acquired last."""
    named = dict.fromkeys(
        lock for table, row in reversed(earlier.rows) if table in ("objects", "locks") and (lock := row if table == "locks" else lock_of(reading, row))
    )
    last = [str(use.get("acquired") or reading.vocabulary.acquirers.get(str(use.get("ddi", "")).lower(), "")) for use in before]
    chosen = list(named)[1] if "second" in words and len(named) > 1 else next(iter(named), "") if "first" in words else next(filter(None, reversed(last)), "")
    row = reading.terms.row("locks", chosen) if chosen else None
    return str(row.more["free"][0]) if row is not None and row.more.get("free") else ""


def of_memory(reading: Reading, use: Use) -> bool:
    """Whether a use calls a routine whose level depends on the pool of the memory it is given; one that allocates is given none."""
    ddi = reading.ddi_table.find(str(use.get("ddi", "")))
    return ddi is not None and not acts_of(reading, ddi.name) and any("memory.pool" in row.when for row in ddi.rows)


def storage_row(reading: Reading, lock: str) -> str:
    """The row of objects.yaml that holds a lock's own storage: it shares a name with the lock's row."""
    row = reading.terms.row("locks", lock)
    if row is None:
        return ""
    wanted = {*row.names, *(singular(phrase) for phrase in row.says)}
    for other in reading.terms.tables.get("objects", {}).values():
        if wanted & {*other.names, *(singular(phrase) for phrase in other.says)}:
            return other.id
    return ""


def acquirable(reading: Reading) -> bool:
    """Whether the text asks whether a lock may be acquired, rather than naming the lock that is held."""
    inside = {at for one in reading.rows("locks") for at in range(one.first, one.last + 1)}  # the "lock" of "push lock"
    return any(key == "acquire" and first not in inside for key, first, _ in reading.cues("acts"))


def lock_of(reading: Reading, stored: str) -> str:
    """The row of locks.yaml that a stored lock's row stands for: it shares a name with it."""
    row = reading.terms.row("objects", stored)
    if row is None:
        return ""
    wanted = {*row.names, *(singular(phrase) for phrase in row.says)}
    for other in reading.terms.tables.get("locks", {}).values():
        if wanted & {*other.names, *(singular(phrase) for phrase in other.says)}:
            return other.id
    return ""
