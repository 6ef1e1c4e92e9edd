"""A follow-up and the question before it in, one complete question out: facts carried, replaced or dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kb.question.words import singular

if TYPE_CHECKING:
    from kb.question.reading import Question, Reading, Site, Use

PLACE_FACTS = ("routine", "irql.lowest", "irql.highest", "lock", "claim.lowest", "claim.highest")
SUBJECT_FACTS = ("ddi", "acquired", "object")
LONG = 28  # words from which a text with its own subject is taken as a new question


def is_follow_up(reading: Reading) -> bool:
    """Whether the text leans on what was said before: it begins with `and`, `what about`, `mine`, or is short and uses `it`, `there`."""
    if not reading.tokens:
        return False
    cues = reading.cues("follow_up")
    if any(first == 0 for _, first, _ in cues):
        return True
    return bool(cues) and len(reading.tokens) <= LONG


def carry(question: Question, reading: Reading, sites: list[Site], earlier: Question) -> Question:
    """
    Complete a follow-up with the earlier facts.

    Args:
        question: The text as read alone.
        reading: Its words.
        sites: The places it names.
        earlier: The question before it.

    Returns:
        The question itself when it stands alone, else one whose uses hold the earlier facts, replaced where the text says otherwise.
    """
    if question.refusal or question.snippets or not is_follow_up(reading):
        return question
    words = {singular(token.text) for token in reading.tokens}
    subject = [use for use in question.uses if any(name in use for name in SUBJECT_FACTS)]
    own_place = [site.facts() for site in sites if not site.empty()]
    shared = {**{name: value for name, value in earlier.shared.items() if name not in question.shared}, **question.shared}
    carried: list[str] = [name for name in earlier.shared if name not in question.shared]
    only_why = question.kind == "why" and len(reading.tokens) <= 6 and not question.rows and not question.ddis
    if only_why:
        return replace(question, kind="why", uses=earlier.uses, ddis=earlier.ddis, rows=earlier.rows, shared=shared, carried=("the whole question",), proposed=earlier.proposed)
    acts = [key for key, _, _ in reading.cues("acts")]
    uses: list[Use] = []
    earlier_uses = [dict(use) for use in earlier.uses]
    kind = question.kind
    if subject:
        uses = [dict(use) for use in subject]
        if kind == "object_storage":
            pass
        elif not own_place and earlier_uses and ("there" in words or "also" in words or not own_place):
            place = {name: value for name, value in earlier_uses[-1].items() if name in PLACE_FACTS}
            uses = [{**place, **use} for use in uses]
            carried += [name for name in place]
        kind = question.kind
    elif own_place and earlier_uses:
        adding = bool(reading.cues("additional")) and not reading.cues("instead")
        for number, place in enumerate(own_place):
            last = earlier_uses[-1]
            base = {name: value for name, value in last.items() if name not in PLACE_FACTS} if not ("lock" in place and "routine" not in place and "irql.highest" not in place) else dict(last)
            memory = [act for act in acts if act in ("allocate", "touch", "free")]
            if memory and base.get("act") in ("allocate", "touch", "free", "store"):
                base["act"] = memory[0]
                base.pop("object", None)
            locks = place.get("lock")
            before = base.get("lock")
            if isinstance(locks, tuple) and isinstance(before, tuple):
                place = {**place, "lock": tuple(sorted({*before, *locks}))}
            if base.get("act") in ("allocate", "touch", "free", "store") and adding and number == 0:
                uses += earlier_uses
            uses.append({**base, **place})
        carried += [name for name in earlier_uses[-1] if name not in PLACE_FACTS]
        kind = earlier.kind if question.kind in ("decision", "context", "api_irql", "why") else question.kind
        if any(use.get("act") in ("allocate", "touch", "free") for use in uses) and kind == "object_storage":
            kind = "decision"
    elif earlier_uses:
        uses = earlier_uses
        for act in acts:
            if act in ("free", "allocate") and any(use.get("act") in ("allocate", "touch", "free") for use in uses):
                uses = [{**uses[-1], "act": act}]
                break
        carried += [name for use in earlier_uses for name in use]
        kind = earlier.kind if question.kind in ("decision", "context", "api_irql", "why", "howto") and not question.windows else question.kind
        if question.windows and earlier.kind == "migration":
            kind = "migration"
    else:
        uses = [dict(use) for use in question.uses]
        if question.windows and earlier.kind in ("migration", "code"):
            kind = "migration"
    uses = [{**use, **{name: value for name, value in question.shared.items() if name != "driver.model"}} for use in uses]
    uses = [{**{name: value for name, value in earlier.shared.items() if name not in ("driver.model", "memory.place", "memory.pool") or (name == "memory.pool" and use.get("act") == "call")}, **use} for use in uses]
    ddis = question.ddis or earlier.ddis
    return replace(
        question,
        kind=kind,
        uses=tuple(uses),
        shared=shared,
        ddis=ddis,
        rows=tuple(dict.fromkeys((*question.rows, *earlier.rows))),
        proposed=question.proposed or earlier.proposed,
        asks_pool=question.asks_pool or earlier.asks_pool,
        windows=question.windows or earlier.windows,
        carried=tuple(dict.fromkeys(carried)),
    )
