"""A follow-up's subject, place and acts and the uses before it in, its uses out: what is carried, replaced, added or dropped."""

from __future__ import annotations

import re
from dataclasses import replace

from kb.question.calls import calls_in, is_asked, is_background
from kb.question.leaning import SHORT
from kb.question.meant import BEGINNING, acquirable, acts_said, kindred_object, lock_is_gone, lock_of, of_memory, other_call, released, storage_row
from kb.question.reading import Reading
from kb.question.records import MEMORY_ACTS, PLACE_FACTS, SUBJECT_FACTS, Question, Site, Use
from kb.question.routines import registered_by
from kb.question.uses import linux_subject

KEPT_ACTS = (*MEMORY_ACTS, "store")  # what a follow-up may ask of the same memory
HOLDING = {"hold", "holding", "held", "under", "inside", "own", "owning", "with"}
LIMITING = {"only", "exclusively", "solely", "purely"}


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
        still_held = taken_before(reading, before)
        if still_held and not named:
            subject = [{**use, "lock": (still_held,)} for use in subject]  # "and can I call ZwClose while holding it"
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


def taken_before(reading: Reading, before: list[Use]) -> str:
    """The lock that `while holding it` means: the one that the question before was about taking."""
    words = [token.word for token in reading.tokens]
    held = any(word in HOLDING and {"it", "that", "this", "one"} & set(words[at + 1 : at + 3]) for at, word in enumerate(words))
    if not held:
        return ""
    acquirers = reading.vocabulary.acquirers
    return next((lock for use in reversed(before) if (lock := str(use.get("acquired") or acquirers.get(str(use.get("ddi", "")).lower(), "")))), "")


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


def place_of(use: Use) -> Use:
    """What a use says of its place."""
    return {name: value for name, value in use.items() if name in PLACE_FACTS}


def names_of(uses: list[Use]) -> list[str]:
    """Names of the facts of uses, each once."""
    return list(dict.fromkeys(name for use in uses for name in use if name != "act"))
