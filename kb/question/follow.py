"""A follow-up and the question before it in, one complete question out: facts carried, replaced or dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from kb.question.calls import acts_of, calls_in, is_asked, is_background
from kb.question.conditions import said_condition
from kb.question.reading import Reading
from kb.question.records import MEMORY_ACTS, Question, Site, Use
from kb.question.routines import registered_by
from kb.question.uses import linux_subject
from kb.question.words import singular

PLACE_FACTS = ("routine", "irql.lowest", "irql.highest", "irql.apart", "lock", "claim.lowest", "claim.highest")
SUBJECT_FACTS = ("ddi", "acquired", "object", "condition", "pool.argument")
KEPT_ACTS = (*MEMORY_ACTS, "store")  # what a follow-up may ask of the same memory
LONG = 28  # words up to which `it`, `there` or `and` lean on what was said before
BEGINNING = 4  # words in which a follow-up names the thing it turns to
LEANING = {"fix", "solve", "avoid", "else", "instead", "otherwise", "cure", "repair"}  # "how do I fix it" leans on what was said, even without `it`
BEFORE_THAT = frozenset("in at under for with of from by is on to does doe can may use and or so but if what why hold inside about".split())
GIVEN_UP = frozenset("release released releasing drop dropped unlock unlocked gone removed remove eliminated".split())
LIMITING = {"only", "exclusively", "solely", "purely"}
SHORT = 16  # words up to which a text that is not complete in itself does


def is_follow_up(question: Question, reading: Reading) -> bool:
    """Whether the text leans on what was said before: it begins with `and`, `what about`, `mine`, uses `it` or `there`, or is short and incomplete."""
    if not reading.tokens:
        return False
    cues = [(key, first, last) for key, first, last in reading.cues("follow_up") if not is_relative(reading, first)]
    placed = any("routine" in use or "irql.highest" in use or "lock" in use for use in question.uses)
    if placed and question.asks_pool:
        cues = [(key, first, last) for key, first, last in cues if first == 0 or reading.tokens[first].word not in ("and", "but")]  # "that DriverEntry allocates and uses"
    words = {token.word for token in reading.tokens}
    if not cues and (question.ddis and reading.tokens[0].word in ("what", "which", "how") or question.kind == "howto" and not words & LEANING):
        return False  # "what does IoFreeMdl need?", "how do I find leaks?" stand alone
    if reading.cues("irql_question") and question.ddis and not any(first == 0 for _, first, _ in cues):
        return False
    if any(first == 0 for _, first, _ in cues) or cues and len(reading.tokens) <= LONG:
        return True
    raising = {first for _, first, _ in reading.cues("raising")}
    if calls_in(reading) and len(reading.tokens) <= SHORT and all(one.first in raising and not is_asked(reading, one) for one in calls_in(reading)):
        return True  # "raise with KeRaiseIrql(DISPATCH_LEVEL) first"
    handed = question.kind == "object_storage" and calls_in(reading) and any(use.get("act") == "touch" for use in question.uses)
    if handed and len(reading.tokens) <= SHORT:
        return True  # "the context I give IoQueueWorkItem": filled where the call is made, which was said before
    subject = any(name in use for use in question.uses for name in SUBJECT_FACTS)
    return len(reading.tokens) <= SHORT and not (placed and (subject or question.asks_pool))


def is_relative(reading: Reading, at: int) -> bool:
    """Whether `that` only joins a clause to its noun: `a buffer that DriverEntry allocates`, not `in that DPC`, `is that fine`."""
    if reading.tokens[at].word != "that" or at == 0 or at + 1 >= len(reading.tokens):
        return False
    before, after = reading.tokens[at - 1].word, reading.tokens[at + 1].word
    acting = any(first == at + 1 for _, first, _ in reading.cues("acts")) or any(one.first == at + 1 for one in reading.rows("routines", negated=True))
    return before not in BEFORE_THAT and before.isalpha() and (acting or after in ("i", "we", "my", "our", "the", "a", "only", "both", "is", "are", "run"))


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


def adds_nothing(question: Question, reading: Reading, sites: list[Site], bare: Mapping[str, str]) -> bool:
    """Whether a text names nothing that this program knows, so that it cannot change the question before it."""
    named = question.uses or question.ddis or question.rows or question.shared or question.windows or question.unknown_names or sites or bare
    return not (named or reading.mentions or reading.cues("unsure") or reading.cues("acts") or question.asks_pool)


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


def unknown_constants(reading: Reading, earlier: Question) -> list[str]:
    """Constants of a follow-up that no table knows and that were not spoken of before; one that is not set changes nothing."""
    denied = {reading.numbers[first] for _, first, _ in reading.cues("negation")}
    known = {at for one in reading.mentions for at in range(one.first, one.last + 1)}
    told = [at for at, token in enumerate(reading.tokens) if "_" in token.text and token.text.isupper() and token.text not in earlier.text]
    return [reading.tokens[at].text for at in told if at not in known and reading.numbers[at] not in denied]


def other_argument(reading: Reading, earlier: Question) -> bool:
    """Whether a follow-up names a constant that the question before did not: another argument, with which another case may hold."""
    return any("_" in token.text and token.text.isupper() and token.text not in earlier.text for token in reading.tokens)


def no_longer(reading: Reading) -> set[str]:
    """The routines that are told to touch the memory no more: `post-write no longer looks`, `the DPC doesn't touch it anymore`."""
    told = {number for token, number in zip(reading.tokens, reading.numbers, strict=True) if token.word in ("longer", "anymore")}
    return {one.value for one in reading.rows("routines", negated=True) if one.clause in told or one.first in reading.gone}


def carries(name: str, use: Use, earlier: Question) -> bool:
    """Whether a fact of the whole question before holds for a use of the follow-up: not where another routine or other memory is meant."""
    if name == "driver.model":
        return False
    if name == "memory.place":
        return use.get("act") == "call" and use.get("ddi") in earlier.ddis
    return name != "memory.pool" or use.get("act") in ("call", "acquire")


def states_a_case(question: Question, reading: Reading, earlier: Question, shared: Mapping[str, str]) -> bool:
    """Whether a follow-up only tells of a case that the question before turns on, and names an object by the way: `the timer object has WdfExecutionLevelPassive`."""
    if question.kind != "object_storage" or earlier.kind == "object_storage" or question.asks_pool or any(token.text == "?" for token in reading.tokens):
        return False
    storing = any(key == "store" for key, _, _ in reading.cues("acts"))
    return not storing and bool(set(shared) & pending_facts(reading, earlier))


def combine(question: Question, reading: Reading, sites: list[Site], earlier: Question, before: list[Use]) -> tuple[list[Use], str, list[str]]:
    """
    The uses of a follow-up.

    Args:
        question: The text as read alone.
        reading: Its words.
        sites: The places it names.
        earlier: The question before it.
        before: The uses of that question.

    Returns:
        The uses, the kind of question, and the names of the facts carried over.
    """
    instead = bool(reading.cues("instead"))
    acquirers = reading.vocabulary.acquirers
    subject = [dict(use) for use in question.uses if any(name in use for name in SUBJECT_FACTS)]
    place = [site.facts() for site in sites if not site.empty()]
    raising = {first for _, first, _ in reading.cues("raising")}
    if place and subject and calls_in(reading) and all(one.first in raising and not is_asked(reading, one) for one in calls_in(reading)):
        subject = []  # "raise with KeRaiseIrql(DISPATCH_LEVEL) first" tells the level of the call spoken of
    memory_uses = [use for use in before if use.get("act") in MEMORY_ACTS]
    if reading.cues("reversed") and len(memory_uses) == 2 and not place and not subject:
        one, two = memory_uses
        return [{**place_of(two), "act": one["act"]}, {**place_of(one), "act": two["act"]}], earlier.kind, names_of(before)
    held_names = {one.first for one in reading.rows("locks")}
    others = [one for one in reading.rows("objects") if one.first not in held_names]
    parts = {"entry", "block", "element", "node", "record", "item"} & {token.word for token in reading.tokens}
    if parts and earlier.kind == "object_storage" and before and all(use.get("act") == "store" for use in before) and not calls_in(reading) and not others:
        return [{"act": "touch", **site} for site in place or [{}]], "decision", []  # "and the entries?" after the head of a list
    other = other_call(reading, earlier)
    named_linux = [row for row in question.rows if row[0] == "linux" and row not in earlier.rows]
    if other or not subject and named_linux and earlier.kind == "linux" and linux_subject(reading):
        subject = [{"act": "call", "ddi": other or linux_subject(reading)}]
    if named_linux and not subject and earlier.kind == "linux" and any("_" in one.words for one in reading.rows("linux")):
        return [dict(use) for use in question.uses], "linux", []  # another function of Linux that no one routine stands for
    around_calls = [use for use in before if "lock" in use and use.get("act") == "call"]
    taken_alone = [str(use["acquired"]) for use in subject if use.get("act") == "acquire" and "acquired" in use]
    about_lock = {"itself", "struct", "structure", "variable", "object"} & {token.word for token in reading.tokens}
    if around_calls and taken_alone and len(taken_alone) == len(subject) and not acquirable(reading) and not reading.cues("additional") and not about_lock:
        return [{**use, "lock": (taken_alone[0],)} for use in around_calls], earlier.kind, names_of(around_calls)  # "and a FAST_MUTEX?" instead of the lock around the call
    legal = bool({token.word for token in reading.tokens} & {"legal", "allowed", "callable", "safe", "ok", "usable", "fine"})
    if (
        not subject
        and question.ddis
        and earlier.kind in ("api_irql", "context", "linux", "decision", *(("object_storage",) if legal else ()))
        and (not question.asks_pool or legal)
        and (question.kind in ("why", "migration", "api_irql", "howto") or legal)
    ):
        subject = [{"act": "call", "ddi": one.value} for one in calls_in(reading)[:1]]
        if subject and question.kind != "api_irql":
            question = replace(question, kind="api_irql")
    told_of = {one.value for one in calls_in(reading) if is_background(reading, one)}
    if (question.proposed or question.asks_pool) and any(use.get("act") in MEMORY_ACTS for use in before) and {use.get("ddi") for use in subject} <= told_of:
        subject = []  # "KeGetCurrentIrql printed 0, so paged is ok": the memory spoken of is what is asked about
    registering = [one for one in reading.mentions if one.kind == "ddi" and registered_by(reading, one)]
    placed = [{name: value for name, value in use.items() if name in PLACE_FACTS} for use in before if any(name in use for name in ("routine", "irql.highest", "lock"))]
    if registering and question.asks_pool and question.kind == "decision" and placed and not reading.cues("only"):
        filled = [{**placed[-1], "act": "touch"}]  # what is handed to such a call is filled where the call is made
        return [*filled, *[dict(use) for use in question.uses]], "decision", ["routine"]
    memory_before = [use for use in before if use.get("act") in KEPT_ACTS]
    own = [dict(use) for use in question.uses if use.get("act") in MEMORY_ACTS]
    if (question.shared.get("memory.pool") or question.asks_pool) and own and not memory_before and not subject and any("routine" in use or "irql.highest" in use for use in own):
        return [dict(use) for use in question.uses], "decision", []  # "the name is from paged pool and the DPC reads it": complete in itself
    held = [use for use in subject if str(use.get("ddi", "")).lower() in acquirers and not any(is_asked(reading, one) for one in calls_in(reading))]
    if held and any(use.get("act") in MEMORY_ACTS for use in memory_before) and len(held) == len(subject):
        place.append({"lock": (acquirers[str(held[0]["ddi"]).lower()],)})
        subject = []
    named = [one.value for one in reading.rows("locks")]
    words = {token.word for token in reading.tokens}
    gone = lock_is_gone(reading, earlier)
    if (gone or {"without", "no"} & words and "lock" in words and not named) and any("lock" in use for use in before):
        level_here: Use = {name: value for site in place for name, value in site.items() if name != "lock"}
        return [{**{name: value for name, value in use.items() if name != "lock"}, **level_here} for use in before], earlier.kind, names_of(before)
    kin = kindred_object(reading, earlier)
    if kin and not calls_in(reading):
        memory = [{"act": acts_said(reading)[0] if acts_said(reading) else "touch", **site} for site in place]
        given: Use = {"memory.pool": earlier.shared["memory.pool"]} if "memory.pool" in earlier.shared else {}
        return [{**given, "act": "store", "object": kin}, *memory], "object_storage", names_of(before)
    another = [one for one in reading.rows("objects") if one.first <= BEGINNING]  # "and a KMUTEX? that one is waited on by passive threads only"
    if another and earlier.kind == "object_storage" and before and all(use.get("act") == "store" for use in before) and not calls_in(reading):
        return [{"act": "store", "object": another[0].value}], "object_storage", ["act"]
    duals = {one.first for one in reading.rows("locks")} & {one.first for one in reading.rows("objects")}
    if duals and words & {"itself", "struct", "structure", "variable", "object"} and not calls_in(reading) and (memory_before or earlier.kind == "object_storage"):
        return [{"act": "store", "object": next(one.value for one in reading.rows("objects") if one.first in duals)}], "object_storage", ["lock"]
    selves = [one.value for one in reading.rows("objects") if "itself" in {token.word for token in reading.tokens[one.last + 1 : one.last + 2]}]
    if selves and not calls_in(reading) and not place:
        return [{"act": "store", "object": selves[0]}], "object_storage", []
    swap = (
        instead
        or bool(reading.gone and named)
        or bool(words & {"use", "actually", "it'", "it", "sorry", "mean", "meant", "rather", "correction"})
        and len(reading.tokens) <= 9
        and not acquirable(reading)
        or bool(words & {"swap", "switch", "change", "turn", "replaced", "replace", "becomes", "become"})
        or "now" in words
        and not any(token.text == "?" for token in reading.tokens)
    )
    calls_lock = all(one.value.lower() in acquirers for one in calls_in(reading))
    background = [dict(use) for use in earlier.memory if use.get("act") != "store"]
    if swap and named and calls_lock and (any("lock" in use for use in before) or background):
        base = before if any("lock" in use for use in before) else background
        level = {name: value for site in place if "routine" not in site for name, value in site.items() if name in ("irql.lowest", "irql.highest")}
        return [{**use, **level, "lock": (named[-1],)} for use in base], "decision" if base is background else earlier.kind, names_of(base)
    taken = [use for use in subject if use.get("act") == "acquire" and "acquired" in use]
    if (
        taken
        and len(taken) == len(subject)
        and memory_before
        and words & {"take", "taken", "hold", "holding", "acquire", "around", "under", "with"}
        and not any(is_asked(reading, one) for one in reading.rows("locks"))
    ):
        return [{**use, "lock": tuple(sorted({*(use.get("lock") or ()), str(taken[0]["acquired"])}))} for use in memory_before], "decision", names_of(memory_before)
    stored = next((str(use["object"]) for use in before if use.get("act") == "store" and "object" in use), "")
    lock = lock_of(reading, stored) if stored and place and not named and not calls_in(reading) else ""
    row = reading.terms.row("locks", lock) if lock else None
    if row is not None and row.more.get("free") and words & {"release", "releases", "signal", "signals"}:
        return [{**site, "act": "call", "ddi": str(row.more["free"][0])} for site in place], "api_irql", ["object"]  # "can a DPC release it?"
    if words & {"release", "releasing", "releases", "unlock", "unlocking"} and not calls_in(reading) and not any(use.get("act") in MEMORY_ACTS for use in before):
        freed = released(reading, earlier, before, words)
        if freed and (place or placed):
            return [{**site, "act": "call", "ddi": freed} for site in place or placed[-1:]], "api_irql", ["lock"]
    waited = lock if any(key == "wait" for key, _, _ in reading.cues("acts")) else ""
    if waited:
        return [{**site, "act": "acquire", "acquired": waited} for site in place], "api_irql", ["object"]  # "can I wait on it in a DPC?"
    if {"protects", "protect", "guards", "guard"} & {token.word for token in reading.tokens} and stored:
        lock = lock_of(reading, stored)
        site = {name: value for one in place for name, value in one.items()}
        return [{**site, "act": "touch", **({"lock": (lock,)} if lock else {})}], "decision", ["object"]
    if swap and named and before and all(use.get("act") in KEPT_ACTS for use in before):
        return [{**use, "lock": (named[-1],)} for use in before], earlier.kind, names_of(before)
    first_one = re.search(r"\bfirst( one)?\b", reading.text, re.I)
    if first_one and not calls_in(reading) and any(key == "acquire" for key, _, _ in reading.cues("acts")) and place:
        lock = next((lock_of(reading, row_id) or row_id for table, row_id in reversed(earlier.rows) if table in ("objects", "locks")), "")
        if lock and reading.terms.row("locks", lock) is not None:
            return [{**site, "act": "acquire", "acquired": lock} for site in place], "api_irql", ["lock"]
    family = next((word for table, row_id in (*earlier.rows,) for word in ("lookaside",) if word in row_id and table in ("allocators", "objects")), "")
    pool = earlier.shared.get("memory.pool") or next((str(use["memory.pool"]) for use in before if "memory.pool" in use), earlier.proposed)
    about = [row.id for row in reading.terms.tables.get("objects", {}).values() if any(row.id.startswith(f"{row_id}-") for table, row_id in earlier.rows if table == "allocators")]
    about += [row.id for row in reading.terms.tables.get("objects", {}).values() if family and family in row.id and "head" in row.id and (not pool or row.id.startswith(pool))]
    if about and {"head", "structure", "descriptor"} & {token.word for token in reading.tokens}:
        return [{"act": "store", "object": about[0]}], "object_storage", ["object"]
    if earlier.kind == "object_storage" and reading.rows("objects") and not calls_in(reading) and not place and len(reading.tokens) <= 10:
        return [{"act": "store", "object": reading.rows("objects")[0].value}], "object_storage", ["act"]
    locks = [use for use in subject if use.get("act") == "acquire" and "acquired" in use]
    if locks and instead and any("lock" in use for use in before) and not calls_in(reading):
        return [{**use, "lock": (str(locks[0]["acquired"]),)} if "lock" in use else use for use in before], earlier.kind, names_of(before)
    storing = any(key == "store" for key, _, _ in reading.cues("acts"))
    last_lock = next((value for use in reversed(before) if isinstance(value := use.get("lock") or use.get("acquired"), (tuple, str))), None)
    if storing and not place and last_lock and all(use.get("act") == "acquire" for use in subject) and question.kind != "object_storage":
        lock = last_lock[0] if isinstance(last_lock, tuple) else last_lock
        stored = storage_row(reading, lock)
        if stored:
            return [{"act": "store", "object": stored}], "object_storage", ["lock"]
    if subject:
        made, kind, names = with_subject(question, reading, subject, [dict(use) for use in earlier.uses])
        if memory_before and any(of_memory(reading, use) for use in subject):  # "RtlSetBits from a DPC too": it touches the bitmap spoken of
            more = [{**{name: value for name, value in use.items() if name in PLACE_FACTS}, "act": "touch"} for use in made if of_memory(reading, use)]
            made = [*made, *(use for use in memory_before if use.get("act") != "store"), *more]
        return made, kind, names
    acts = acts_said(reading)
    seen = [{name: value for name, value in use.items() if name in PLACE_FACTS} for use in earlier.uses if use.get("act") == "context"]
    if not place and not before and seen and (question.asks_pool or acts or question.proposed):
        touched = [dict(use) for use in question.uses if use.get("act") in KEPT_ACTS] or [{"act": acts[0] if acts else "touch"}]
        return [{**seen[-1], **use} for use in touched], "decision", ["routine"]
    moved = {token.word for token in reading.tokens} & {"have", "put", "keep", "move", "want"}
    if not memory_before and placed and question.shared.get("memory.pool") and (acts or moved) and not place and not question.ddis:
        around = acquirers.get(str(before[-1].get("ddi", "")).lower()) or before[-1].get("acquired")
        under = {"lock": (str(around),)} if around and {"while", "under", "holding", "inside", "hold"} & words else {}
        return [{**placed[-1], **under, "act": act} for act in dict.fromkeys(acts or ["touch"])], "decision", names_of(placed)
    if earlier.kind == "migration" and acts == ["free"] and not place:
        return [], "migration", []
    if place and before:
        return with_place(question, reading, place, before, acts, earlier)
    if before:
        uses = before
        where = [{name: value for name, value in use.items() if name in PLACE_FACTS} for use in before]
        ddi = reading.ddi_table.find(earlier.ddis[0]) if earlier.ddis else None
        cases = {fact for row in (ddi.rows if ddi is not None else ()) for fact in row.when}
        argument = bool(cases & {"memory.pool", "memory.resident"}) and len(reading.tokens) <= BEGINNING + 4  # "mine is paged" states the call's case
        if question.asks_pool and question.kind == "decision" and not memory_before and any(where) and not argument:
            return [{**where[-1], "act": "touch"}], "decision", ["routine"]
        if memory_before and "free" in acts and not question.shared.keys() - {"memory.pool"}:
            uses = [{**{name: value for name, value in memory_before[-1].items() if name != "object"}, "act": "free"}]
        kind = earlier.kind if question.kind in ("decision", "context", "api_irql", "why", "howto", "out_of_scope", "migration") else question.kind
        if question.windows and earlier.kind in ("migration", "api_irql", "howto"):
            kind = "migration" if earlier.kind != "api_irql" else earlier.kind
        return uses, kind, names_of(uses)
    kind = "migration" if question.windows and earlier.kind in ("migration", "code") else question.kind
    if question.kind in ("out_of_scope", "why") and len(reading.tokens) <= SHORT:
        kind = earlier.kind
    since = next((name for name in earlier.ddis if (ddi := reading.ddi_table.find(name)) is not None and ddi.since), "")
    if question.windows and since and not question.ddis and reading.cues("exist"):
        return [{"act": "exist", "ddi": since, "windows": question.windows[0]}], kind, ["ddi"]
    return [dict(use) for use in question.uses], kind, []


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


def names_of(uses: list[Use]) -> list[str]:
    """Names of the facts of uses, each once."""
    return list(dict.fromkeys(name for use in uses for name in use if name != "act"))


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


def with_subject(question: Question, reading: Reading, subject: list[Use], before: list[Use]) -> tuple[list[Use], str, list[str]]:
    """A follow-up that names what is called or stored: the place is the earlier one unless it names its own."""
    placed = any("routine" in use or "irql.highest" in use for use in subject)
    if question.kind == "object_storage":
        row = reading.terms.row("objects", str(subject[0].get("object", "")))
        earlier = [{**{name: value for name, value in use.items() if name in PLACE_FACTS}, "act": "touch"} for use in before if any(name in use for name in PLACE_FACTS)]
        if row is not None and row.more.get("storage") == "either" and earlier:
            return [*subject, *earlier, *[dict(use) for use in question.uses if use not in subject]], question.kind, ["routine"]
        return subject, question.kind, []
    if not before or all(use.get("act") == "exist" for use in subject):
        return subject, question.kind, []
    kept = PLACE_FACTS if not placed else ()
    place: Use = {}
    for use in before:
        for name in kept:
            if name in use and name not in place:
                place[name] = use[name]
    others = [dict(use) for use in question.uses if use.get("act") in KEPT_ACTS]
    return [*({**place, **use} for use in subject), *others], question.kind if question.kind != "out_of_scope" else "api_irql", list(place)


def place_of(use: Use) -> Use:
    """What a use says of its place."""
    return {name: value for name, value in use.items() if name in PLACE_FACTS}


def with_place(question: Question, reading: Reading, place: list[Use], before: list[Use], acts: list[str], earlier: Question) -> tuple[list[Use], str, list[str]]:
    """A follow-up that names a place: it replaces the earlier one, adds a use of the same memory, or puts a lock around it."""
    limiting = {number for token, number in zip(reading.tokens, reading.numbers, strict=True) if token.word in LIMITING}
    limited = any(one.clause in limiting for one in reading.mentions if one.kind in ("irql", "ddi") or one.table == "routines")  # "is now only used in a work item"
    adding = bool(reading.cues("additional")) and not reading.cues("instead") and not limited
    uses: list[Use] = []
    touched = [use for use in before if use.get("act") == "touch"]
    last = touched[-1] if touched and not acts and before[-1].get("act") in MEMORY_ACTS else before[-1]
    for number, site in enumerate(place):
        only_lock = "lock" in site and "routine" not in site and "irql.highest" not in site
        if only_lock:
            had = last.get("lock")
            asked = any(token.text == "?" for token in reading.tokens)  # "and with a KMUTEX?" asks of another lock, "I hold a KMUTEX" tells of a further one
            further = not reading.cues("instead") and (not asked or bool(reading.cues("additional")))
            joint = tuple(sorted({*(had if isinstance(had, tuple) and further else ()), *site["lock"]}))
            uses += [{**use, "lock": joint} for use in before] if number == 0 else []
            continue
        base: Use = {name: value for name, value in last.items() if name not in PLACE_FACTS}
        if acts and base.get("act") in KEPT_ACTS:
            base["act"] = acts[0]
            base.pop("object", None)
        if base.get("act") == "store":
            base = {"act": acts[0] if acts else "touch"}
        if base.get("act") in KEPT_ACTS and adding and number == 0:
            uses += [use for use in before if use.get("act") != "store" or not acts]  # "a DPC should return entries": no more the question of storage
        elif acts and base.get("act") in MEMORY_ACTS and number == 0 and not reading.cues("instead") and not limited:
            uses += [use for use in before if use.get("act") in MEMORY_ACTS and use.get("act") != acts[0]]  # "I allocate it in AddDevice": what reads it still does
        elif base.get("act") == "touch" and number == 0 and not limited:
            uses += [use for use in before if use.get("act") in ("allocate", "free") and place_of(use) != place_of(last)]  # it moves from where it was touched
        uses.append({**base, **site})
    kind = earlier.kind if question.kind in ("decision", "context", "api_irql", "why", "out_of_scope", "object_storage", "howto") else question.kind
    if any(use.get("act") in MEMORY_ACTS for use in uses) and kind in ("object_storage", "context", "howto"):
        kind = "decision"
    return uses, kind, [name for name in names_of(before) if name not in PLACE_FACTS]
