"""What kind of question it is, and whether it is one that this tool answers."""

from __future__ import annotations

import re

from kb.question.bystanders import sentences
from kb.question.calls import acts_of, calls_in, is_asked, sentence_asks
from kb.question.objects import documented, implied_objects, is_embedded, object_rows, stored_objects
from kb.question.reading import Reading
from kb.question.records import MEMORY_ACTS
from kb.question.routines import registered_by, routine_mentions

JUDGED = frozenset("ok okay forbidden allowed legal illegal safe callable fine possible valid bad wrong problem issue trouble dangerous risky acceptable permitted".split())
ONE_CALL = 16  # words up to which a question that says `callable` is about the call alone


def out_of_scope(reading: Reading) -> str:
    """
    Why a question is outside the field.

    Args:
        reading: The text with its mentions.

    Returns:
        The topic of `phrases.yaml` that it belongs to; empty when it is in scope. A question that names kernel things stays in
        scope unless the outside topic is what its memory belongs to.
    """
    if reading.bugcheck is not None:
        return ""
    topics = [key for key, _, _ in reading.cues("out_of_scope")]
    if not topics:
        named = [one for one in reading.mentions if one.kind in ("ddi", "irql", "unknown_name") or one.kind == "row" or one.kind == "fact" and one.table != "windows"]
        shaped = any("_" in token.text and token.text.isupper() or re.search(r"[a-z][A-Z]", token.text) for token in reading.tokens)  # a name: code is spoken of
        if not named and not shaped and not reading.cues("domain") and not reading.snippets and len(reading.tokens) > 3:
            return "small talk"
        return ""
    strong = [one for one in reading.mentions if one.kind in ("ddi", "irql") or one.kind == "row" and one.table in ("routines", "locks", "allocators", "pool_arguments", "objects")]
    bugs = reading.rows("bugchecks")
    first = topics[0]
    words = {token.word for token in reading.tokens}
    spoken = {"windows", "wdm", "kmdf", "wdf", "minifilter", "ndis"} - ({"windows"} if first == "other systems" and "no" in words else set())
    windows = [one for one in reading.mentions if one.kind == "ddi" or one.kind == "row" and one.table == "pool_arguments"] or words & spoken
    if first == "exploits" or first == "other systems" and not windows:
        return first
    if strong or (bugs and first not in ("end-user crash help", "small talk", "GPU memory")):
        return ""
    if reading.snippets:
        return ""
    return first


def only_call_asked(reading: Reading) -> bool:
    """Whether a pool is told of but no sentence that asks names one: `the context came from PagedPool. X in a post-op, allowed?`."""
    pools = {*(one.first for one in reading.pool_mentions()), *(first for group in ("pool_question", "pool_word") for _, first, _ in reading.cues(group))}
    spans = sentences(reading.tokens)
    asking = [span for span in spans if reading.tokens[span[1]].text == "?"]
    back = [before for before, after in zip(spans, spans[1:], strict=False) if after in asking and {"that", "this"} & {token.word for token in reading.tokens[after[0] : after[1]]}]
    return bool(asking) and not any(first <= at <= last for first, last in (*asking, *back) for at in pools)  # "hence PagedPool. Is that correct?"


def has(reading: Reading, kind: str) -> bool:
    """Whether a cue of this kind of question stands in the text."""
    return any(key == kind for key, _, _ in reading.cues("kinds"))


def kind_of(reading: Reading) -> str:
    """
    Classify a question.

    Args:
        reading: The text with its mentions.

    Returns:
        One of the kinds of contract.md.
    """
    if reading.snippets:
        return "code"
    if out_of_scope(reading) and not (reading.bugcheck is not None and reading.bugcheck.parameters):
        return "out_of_scope"
    bugs, linux = reading.rows("bugchecks"), reading.rows("linux")
    routines, locks, objects = routine_mentions(reading), reading.rows("locks"), reading.rows("objects")
    calls = calls_in(reading)
    pools = reading.pool_mentions()
    pool_question = bool(reading.cues("pool_question")) or reading.quoted_pool
    allocators = reading.rows("allocators")
    asks_reason = any(key == "reason" and first <= 3 for key, first, _ in reading.cues("kinds"))
    if reading.bugcheck is not None and not asks_reason and (reading.bugcheck.parameters or has(reading, "bugcheck") or not (calls or routines)):
        return "bugcheck"
    if reading.bugcheck is not None and not asks_reason and not (calls or pools or pool_question or linux):
        return "bugcheck"  # "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED in my DriverEntry, what now?"
    why = has(reading, "why")
    starts_why = any(key == "reason" and first <= 3 for key, first, _ in reading.cues("kinds")) or why and not (pools or routines or calls)
    placed = bool(routines or locks or any(one.kind == "irql" for one in reading.mentions))
    reasons = any(key == "reason" for key, _, _ in reading.cues("kinds"))
    if reasons and not placed and not calls and not bugs and not reading.rows("pool_arguments") and not objects:
        return "why"
    pool_word = bool(reading.cues("pool_word"))
    legal = (
        bool({"legal", "illegal", "allowed", "callable", "call", "safe", "fine", "ok"} & {token.word for token in reading.tokens})
        and placed
        and not pool_question
        and not any(key == "store" for key, _, _ in reading.cues("acts"))
    )
    if routines and has(reading, "callback_level") and not (pools or pool_question):
        return "context"
    linked = [row for row in object_rows(reading) if any(one.value in documented(reading, row, "ddis") for one in calls)]
    offered = bool(linked and pools) and any(one.first <= 1 and one.value in {row.id for row in linked} for one in reading.rows("objects"))  # "EX_PUSH_LOCK for X in a paged context: ok?"
    if (
        linked
        and not why
        and (not legal or offered)
        and (
            pools
            or pool_question
            or pool_word
            or any(key == "store" for key, _, _ in reading.cues("acts"))
            or {"memory", "storage", "pageable"} & {token.word for token in reading.tokens}
        )
    ):
        return "object_storage"
    if why and starts_why and not (bugs and has(reading, "bugcheck")):
        return "why"
    if bugs and (has(reading, "bugcheck") or not (calls or routines)):
        return "why" if why and starts_why else "bugcheck"
    if linux or has(reading, "linux"):
        return "linux"
    if calls and allocators and reading.cues("newer") and not placed:
        return "migration"
    if has(reading, "migration") and (allocators or calls or pools or reading.rows("pool_arguments") or reading.versions()):
        return "migration"
    storing = any(key == "store" for key, _, _ in reading.cues("acts"))
    if "where" in {token.word for token in reading.tokens} and any(key == "allocate" for key, _, _ in reading.cues("acts")) and not routines:
        storing = pool_question = True  # "any constraint on where it's allocated?"
    if not objects and (pool_question or pools) and implied_objects(reading) and not (legal and only_call_asked(reading)):
        return "object_storage"
    objects = stored_objects(reading)
    if objects and (not calls or storing and (pools or pool_question)) and (storing or pools or pool_question or reading.named_facts("memory.place")):
        doing = [key for key, _, _ in reading.cues("acts") if key in MEMORY_ACTS]
        beside = {reading.numbers[one.first] for one in (*pools, *reading.named_facts("memory.place"))}
        if objects[0].first <= 1 and (pools or pool_question) and not calls:
            return "object_storage"
        if any(one.clause in beside and one.first in {lock.first for lock in locks} for one in objects):
            return "object_storage"
        if storing or not (doing and routines) or any(is_embedded(reading, one) for one in objects):
            return "object_storage"
    if has(reading, "howto") and not pool_question:
        return "howto"
    special = [one for one in reading.rows("pool_arguments") if not any(one.first == pool.first for pool in pools)]
    acting = any(key in MEMORY_ACTS for key, _, _ in reading.cues("acts"))
    if reading.rows("pool_arguments") and not calls and not routines and (reading.versions() or special or not (pool_question or acting)):
        return "migration"
    irql_question = bool(reading.cues("irql_question"))
    held = [one for one in calls if one.value.lower() in reading.vocabulary.acquirers or one.value.lower() in reading.vocabulary.releasers]
    if calls and len(held) == len(calls) and (pools or pool_question or pool_word) and not any(is_asked(reading, one) for one in calls):
        return "decision"
    if routines and (pool_word or any(key == "allocate" for key, _, _ in reading.cues("acts"))) and not calls and not irql_question and not has(reading, "context"):
        return "decision"
    if calls and all(registered_by(reading, one) for one in calls) and (pools or pool_question or pool_word):
        return "decision"
    if calls and {"callable", "called"} & {token.word for token in reading.tokens} and not pool_question and sentence_asks(reading, calls[0]) and len(reading.tokens) <= ONE_CALL:
        return "api_irql"  # "is ExAllocatePool2 with POOL_FLAG_PAGED callable at APC_LEVEL?"
    if calls and any(acts_of(reading, one.value) for one in calls) and (pools or pool_question) and (routines or any(one.kind == "irql" for one in reading.mentions)):
        return "decision"
    level = (
        irql_question
        or placed
        or JUDGED & {token.word for token in reading.tokens}
        or any(is_asked(reading, one) for one in calls)
        or reading.cues("irql_question")
        or reading.cues("exist")
        or [token.word for token in reading.tokens[:1]] in (["what"], ["which"])
        and {"need", "require", "demand"} & {token.word for token in reading.tokens}
    )
    if calls and not level and not pools and not pool_question:
        if has(reading, "howto"):
            return "howto"
        words = {token.word for token in reading.tokens}
        if any(acts_of(reading, one.value) for one in calls) or words & {"successor", "old", "new", "switch", "since"}:
            return "migration"
        return "why" if len(reading.tokens) > 6 else "api_irql"
    if calls and not (pool_question and (pools or allocators)):
        return "why" if why and not reading.cues("irql_question") and not routines and not any(one.kind == "irql" for one in reading.mentions) else "api_irql"
    if routines and (has(reading, "context") or irql_question) and not calls:
        return "context"
    if not calls and len(reading.tokens) <= 8 and routines and not (pools or pool_question):
        return "context"
    if pools or pool_question or allocators:
        return "why" if why and not routines and not any(one.kind == "irql" for one in reading.mentions) else "decision"
    if placed and not calls and reading.named_facts("code.pageable"):
        return "context"  # "PAGED_CODE() in a routine that runs at DISPATCH_LEVEL?"
    if why:
        return "why"
    if locks or any(key == "wait" for key, _, _ in reading.cues("acts")) and routines:
        return "api_irql"
    if routines:
        return "context"
    if has(reading, "howto"):
        return "howto"
    if objects:
        return "object_storage"
    if {"memory", "buffer", "allocation", "allocate", "pool"} & {token.word for token in reading.tokens}:
        return "decision"
    return "decision" if any(key in MEMORY_ACTS for key, _, _ in reading.cues("acts")) else "why"
