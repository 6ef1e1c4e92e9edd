"""A follow-up and the question before it in, one complete question out: facts carried, replaced or dropped."""

from __future__ import annotations

import re
from dataclasses import replace

from kb.question.combine import combine
from kb.question.conditions import said_condition
from kb.question.leaning import SHORT, adds_nothing, is_follow_up, no_longer, other_argument, unknown_constants
from kb.question.meant import bare_values, lock_is_gone, meant_facts, states_a_case
from kb.question.reading import Reading
from kb.question.records import Question, Site, Use


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
    if earlier.snippets and not earlier.uses and (earlier.memory or earlier.pasted):  # what the code that was pasted does
        named = tuple(str(use["ddi"]) for use in earlier.pasted)
        earlier = replace(earlier, uses=earlier.memory or earlier.pasted, kind="decision" if earlier.memory else "api_irql", ddis=named if not earlier.memory else earlier.ddis)
    leaning = any(first == 0 for _, first, _ in reading.cues("follow_up"))
    bare = bare_values(reading, earlier)
    again = {"tell_more": bool(reading.cues("tell_more")), "say_again": bool(reading.cues("say_again"))}
    told = leaning or question.windows or bare or question.shared or reading.cues("unsure") or any(again.values())
    lean = bool(told) and len(reading.tokens) <= SHORT or len(reading.tokens) <= 3 or lock_is_gone(reading, earlier)
    if reading.cues("retraction") and earlier.before is not None and not any(token.text == "?" for token in reading.tokens):
        return replace(earlier.before, text=question.text, facts=(), aside=(), before=earlier.before.before, carried=("the question before the last",))
    if question.refusal and (question.refusal != "small talk" or not lean) or question.snippets or reading.cues("new_subject"):
        return question
    if again["say_again"] and len(reading.tokens) <= SHORT and adds_nothing(question, reading, sites, bare):
        return replace(earlier, text=question.text, facts=(), aside=(), carried=("the whole question",))
    if not is_follow_up(question, reading) and not (lean and question.refusal):
        return question
    own_facts = {**meant_facts(reading, earlier, question.shared), **bare}
    if question.unknown_names and not question.ddis and not sites:
        return question  # what is said of the routine before says nothing of one that is not documented
    if unknown_constants(reading, earlier) and not (sites or question.ddis or own_facts):
        return replace(question, uses=(), refusal="", behind=earlier)  # it may change everything: no firm verdict is repeated
    own_shared = own_facts
    if states_a_case(question, reading, earlier, own_shared):
        question = replace(question, uses=(), kind="context")
    if "execution.level" in bare:
        sites = []
    shared = {**earlier.shared, **own_shared}
    kept = tuple(name for name in earlier.shared if name not in own_shared)
    if question.kind == "why" and reading.cues("tell_more") and len(reading.tokens) <= 6 and not question.shared and not question.rows and not question.ddis and not bare:
        return replace(
            question, refusal="", kind="why", uses=earlier.uses, ddis=earlier.ddis, rows=earlier.rows, shared=shared, carried=("the whole question",), proposed=earlier.proposed
        )
    if question.bugcheck is None and earlier.bugcheck is not None:
        number = re.search(r"\b0x([0-9a-fA-F]+)\b", reading.text)
        if number and not question.ddis:
            parameters = {**earlier.bugcheck.parameters, 1: int(number.group(1), 16)}
            return replace(question, refusal="", kind="bugcheck", bugcheck=replace(earlier.bugcheck, parameters={1: parameters[1]}), rows=earlier.rows, carried=("bug check",))
    if question.kind == "context" and any("routine" in use for use in question.uses) and not question.asks_pool and reading.cues("irql_question"):
        return question
    left = no_longer(reading)
    before = [dict(use) for use in earlier.uses if use.get("act") != "context" and use.get("routine") not in left]
    uses, kind, carried = combine(question, reading, sites, earlier, before)
    for use in uses:
        for name, value in own_shared.items():
            if name != "driver.model":
                use[name] = value
        for name in kept:
            if carries(name, use, earlier):
                use.setdefault(name, earlier.shared[name])
        if "version" in {token.word for token in reading.tokens}:
            use.pop("condition", None)  # "the post version of that routine" is another routine
        if "condition" in use and other_argument(reading, earlier) and not any("condition" in one for one in question.uses):
            del use["condition"]
        said = said_condition(reading, str(use["ddi"])) if use.get("act") == "call" else ""
        if said:
            use["condition"] = said
    rows = tuple(dict.fromkeys((*question.rows, *earlier.rows)))
    return replace(
        question,
        refusal="",
        kind=kind,
        uses=tuple(uses),
        shared=shared,
        ddis=question.ddis or earlier.ddis,
        rows=rows,
        proposed=question.proposed or earlier.proposed,
        asks_pool=question.asks_pool or earlier.asks_pool,
        windows=question.windows or earlier.windows,
        carried=tuple(dict.fromkeys((*carried, *kept))),
    )


def carries(name: str, use: Use, earlier: Question) -> bool:
    """Whether a fact of the whole question before holds for a use of the follow-up: not where another routine or other memory is meant."""
    if name == "driver.model":
        return False
    if name == "memory.place":
        return use.get("act") == "call" and use.get("ddi") in earlier.ddis
    return name != "memory.pool" or use.get("act") in ("call", "acquire")
