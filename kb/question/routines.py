"""Mentions in, the driver's own routines out: named by role or by documented callback, or handed to a call that registers them."""

from __future__ import annotations

import re
from dataclasses import replace

from kb.question.bystanders import sentences
from kb.question.reading import Reading
from kb.question.words import Mention

CALLBACK_WORDS = ("thread", "callback", "routine", "handler", "completion", "function", "notification", "worker")
PLACE_WORDS = {"routine", "thread", "context", "callback", "irql", "level", "function", "path", "caller", "driver"}
ASKED_NEAR = 6  # words from `is` to the kind of routine that it asks for
REQUEST_PREFIX = "IRP_MJ_"  # codes of requests; a minifilter's callbacks are named together with one
REGISTERING = re.compile(
    r"Register|Init|Set\w*(?:Routine|Callback|Notify)|Connect|Queue|Async|AllocateTimer|RequestPowerIrp|Notif|IpiGeneric|CreateSystemThread|Synchroniz|WhenSafe|SetCompletion"
)  # names of routines whose main purpose is to hand over a callback; others take one by the way


def routine_mentions(reading: Reading) -> list[Mention]:
    """Routines named: rows of the table, and documented callbacks that the driver implements."""
    found = [one for one in reading.rows("routines", negated=True) if not one.negated or resumed(reading, one)]
    spans = {(one.first, one.last) for one in found}
    for one in reading.mentions:
        if one.kind == "ddi" and not one.negated and (one.first, one.last) not in spans and is_implemented(reading, one):
            found.append(replace(one, table="callback"))
    rows = [one for one in found if one.table == "routines"]
    found = [
        one
        for one in found
        if one.table != "callback"
        or not any(
            row.first < one.first and set(row.value.split("-")) & set(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r" \1", one.words).lower())) - {"callback", "routine", "evt"}
            for row in rows
        )
    ]  # "context cleanup callback ... CleanupCallback": the general name means the routine named before
    if not found:
        for one in reading.rows("linux"):
            row = reading.terms.row("linux", one.value)
            if row is not None and row.more.get("routine"):
                found.append(replace(one, table="routines", value=str(row.more["routine"])))
    found = [one for one in found if not classes(reading, one, found)] or found
    unsure = reading.unsure_clauses()
    if any(not reading.doubted(one, unsure) for one in found):
        found = [one for one in found if not reading.doubted(one, unsure)]
    specific = [one for one in found if "-" in one.value]
    found = [one for one in found if not any(other.first < one.first and other.value != one.value and one.value in other.value.split("-") for other in specific)]
    requests = [one for one in found if one.words.upper().startswith(REQUEST_PREFIX) and one.first == one.last]  # its dispatch routine is meant only where no routine is named
    if len(requests) < len(found):
        found = [one for one in found if one not in requests]
    past = {reading.tokens[first - 1].word for _, first, _ in reading.cues("used_to") if first} | {"\0"}
    found = [
        one for one in found if reading.tokens[one.last].word not in past or not reading.cues("used_to") or all(first != one.last + 1 for _, first, _ in reading.cues("used_to"))
    ]
    for one in reading.mentions:
        if one.kind == "ddi" and not one.negated and only_registers(reading, one):
            value = registered_by(reading, one)
            if value and not any(other.value == value for other in found):
                found = [other for other in found if not one.last < other.first <= one.last + 3]  # "PoRequestPowerIrp completion routine"
                found.append(replace(one, kind="row", table="routines", value=value))
    return sorted(found, key=lambda one: one.first)


def classes(reading: Reading, mention: Mention, found: list[Mention]) -> bool:
    """Whether a routine only says or asks what kind of thing others are: `timers are DPCs though`, `is a timer a DPC?`, beside a routine that is named."""
    before = [token.word for token in reading.tokens[max(0, mention.first - 3) : mention.first] if token.word not in ("all", "just", "only", "always", "really", "basically")]
    plural = reading.tokens[mention.last].text.lower().endswith("s") and reading.tokens[mention.last].word != reading.tokens[mention.last].text.lower()
    if plural and before[-1:] == ["are"]:
        return any(one.last < mention.first - 1 and one.value != mention.value for one in found)
    verb = next((at for at in range(mention.first - 1, max(-1, mention.first - 1 - ASKED_NEAR), -1) if reading.tokens[at].word in ("is", "are", "isn't", "aren't", "ain't")), 0)
    asked = verb > 0 and reading.tokens[verb - 1].word in ("or", "and", "but", "so", "then", ",", "?", ".", ";", ":", "(")
    words = [token.word for token in reading.tokens[verb + 1 : mention.first]]
    kind = words[-1:] in (["a"], ["an"]) and bool(set(words[:-1]) - {"a", "an", "the", "in", "from", "at", "on", "for"}) and not {"in", "from", "at", "on", "for"} & set(words)
    return asked and kind and any(one.value != mention.value for one in found)


def resumed(reading: Reading, mention: Mention) -> bool:
    """Whether a clause that denies one act in a routine is followed by what the routine does: `nothing is allocated in the DPC, it only reads a table`."""
    if mention.first in reading.gone:
        return False
    after = [at for at in range(mention.last + 1, len(reading.tokens)) if reading.numbers[at] > mention.clause and reading.tokens[at].text[0].isalnum()][:3]
    words = [reading.tokens[at].word for at in after]
    doing = {first for key, first, _ in reading.cues("acts") if key == "touch"}
    denied = any(key in ("allocate", "free", "touch") and reading.numbers[first] == mention.clause and first < mention.first for key, first, _ in reading.cues("acts"))
    verb = after[2:3] if words[1:2] in (["only"], ["just"], ["merely"], ["simply"]) else after[1:2]
    return denied and words[:1] == ["it"] and bool(verb) and verb[0] in doing


def is_implemented(reading: Reading, mention: Mention) -> bool:
    """Whether a documented name is a callback that the driver implements."""
    ddi = reading.ddi_table.find(mention.value)
    return ddi is not None and ddi.kind == "callback" and ddi.role == "implemented_by_driver"


def registered_by(reading: Reading, mention: Mention) -> str:
    """The routine that a registering DDI registers: the id of its row, or the documented callback's name; empty when unknown."""
    callback = reading.terms.registers.get(mention.value.lower(), "")
    if not callback or not REGISTERING.search(mention.value):
        return ""
    for kind, table, value in reading.vocabulary.named(callback):
        if kind == "row" and table == "routines":
            return value
    return callback


def only_registers(reading: Reading, mention: Mention) -> bool:
    """Whether the routine named only registers the callback that the text is about: `PoRequestPowerIrp completion function`."""
    after = [token.word for token in reading.tokens[mention.last + 1 : mention.last + 4]]
    before = {token.word for token in reading.tokens[max(0, mention.first - 3) : mention.first]}
    head = after[:3]
    stop = ("in", "from", "the", "a", "my", "at", "inside", "and", "or", ",", "out", "(", ")", ".", "?", ":", "of", "on", "under", "with", "to", "by")
    place = next((at for at, word in enumerate(head) if word in CALLBACK_WORDS), None)
    followed = place is not None and not any(word in stop for word in head[:place])
    if before & {"registered", "register", "set", "hooked"} and registered_by(reading, mention):
        return True
    asked = any(first <= mention.first <= last and reading.tokens[last].text == "?" for first, last in sentences(reading.tokens))
    if not asked and mention.first and reading.tokens[mention.first - 1].word in ("we", "i") and registered_by(reading, mention):
        return True  # "we ExRegisterCallback on an object of theirs": the name is the verb
    return (followed or bool(before & {"registered", "register"})) and bool(reading.rows("routines") or followed)


def registered_routines(reading: Reading) -> dict[str, int]:
    """Routines that the text registers by a documented call (`IoInitializeTimer`, `FltPerformAsynchronousIo(cbd, MyDone, ctx)`), each with its clause."""
    calls = [one for one in reading.mentions if one.kind == "ddi" and not one.negated]
    return {value: one.clause for one in reversed(calls) if (value := registered_by(reading, one))}


def unknown_caller(reading: Reading) -> bool:
    """Whether the text says that it is not known where the code runs: `I have no idea from where they call it`."""
    for first, last in sentences(reading.tokens):
        if not any(first <= at <= last for _, at, _ in reading.cues("unsure")):
            continue
        words = [token.word for token in reading.tokens[first : last + 1]]
        asked = {after for word, after in zip(words, words[1:], strict=False) if word in ("which", "what")}
        runs: bool | set[str] = any(first <= at <= last for key, at, _ in reading.cues("acts") if key in ("call", "touch", "free")) or {"run", "runs", "come", "comes"} & set(words)
        runs = bool(runs) or {"from", "where"} <= set(words)  # "I don't know from where they notify"
        if runs and ({"who", "where", "whom"} & set(words) or asked & PLACE_WORDS):
            return True
    return False


def elsewhere(reading: Reading) -> bool:
    """Whether the text speaks of other code that is not named: `looked up by other routines`, unless it denies it."""
    denied = {reading.numbers[first] for _, first, _ in reading.cues("negation")}
    return any(reading.numbers[first] not in denied for _, first, _ in reading.cues("unknown_place"))


def unread_place(reading: Reading) -> bool:
    """Whether the text speaks of a timer, interrupt, completion or callback that was not read as a place: then one use stays unknown."""
    covered = {at for one in reading.mentions for at in range(one.first, one.last + 1)}
    denied = {reading.numbers[first] for _, first, _ in reading.cues("negation")}
    calls = bool(registered_routines(reading))
    for _, first, _ in reading.cues("place_hint"):  # "a WDFTIMER; its callback reads the table": another callback than the ones named
        if first and reading.tokens[first - 1].word in ("its", "their", "whose") and first not in covered and reading.numbers[first] not in denied and not calls:
            return True
    return any(first not in covered and reading.numbers[first] not in denied and not calls and not routine_mentions(reading) for _, first, _ in reading.cues("place_hint"))
