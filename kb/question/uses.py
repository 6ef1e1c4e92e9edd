"""Subjects, places and shared facts in, uses out: who does what where."""

from __future__ import annotations

from kb.question.calls import calls_in, is_asked
from kb.question.conditions import said_condition
from kb.question.memory import about_memory, given_pool, linux_allocates, memory_uses, pool_asked
from kb.question.objects import allocated_objects, place_is_alternative
from kb.question.reading import Reading
from kb.question.records import MEMORY_ACTS, Site, Use
from kb.question.routines import registered_routines, unknown_caller
from kb.terms import rank


def uses_of(reading: Reading, kind: str, subjects: list[tuple[str, str]], sites: list[Site], shared: dict[str, str]) -> list[Use]:
    """The uses that the question states, each with the facts of its place."""
    base: Use = {name: value for name, value in shared.items() if name not in ("driver.model",)}
    unsure = reading.unsure_clauses()
    doubted = tuple(sorted({one.table for one in reading.mentions if one.kind == "fact" and reading.doubted(one, unsure)}))
    if doubted:
        base["unsure"] = doubted
    places = [site.facts() for site in sites] or [{}]
    uses: list[Use] = []
    existing = exist_uses(reading, kind, subjects, base)
    if existing and not any(places):
        return existing
    if kind == "object_storage" and subjects and subjects[0][0] == "object":
        base = {name: value for name, value in base.items() if name != "memory.place" or not place_is_alternative(reading)}
        store: Use = {**base, "act": "store", "object": subjects[0][1]}
        more = [{**base, "act": "store", "object": name} for what, name in subjects[1:3] if what == "object"]
        row = reading.terms.row("objects", subjects[0][1])
        either = row is not None and row.more.get("storage") == "either"
        return [store, *more, *(memory_uses(reading, [], sites, base) if either and (sites or unknown_caller(reading)) else [])]
    if kind == "why" and not subjects and any(one.kind == "unknown_name" for one in reading.mentions) and any(places) and not pool_asked(reading, kind):
        return [{**base, **place, "act": "context"} for place in places if place]  # the place holds for the routine that is meant, once it is named
    if kind in ("why", "howto", "bugcheck", "migration", "code", "out_of_scope") and not pool_asked(reading, kind):
        return call_uses(reading, subjects, places, base) if kind in ("howto", "migration") and any(places) else []
    made = allocated_objects(reading)
    if made and kind in ("decision", "api_irql") and reading.speaks_of_pool():
        uses += [{**base, "act": "store", "object": name} for name in made]
    if kind == "migration" or kind == "howto":
        wanted = any(is_asked(reading, one) for one in calls_in(reading))
        uses += call_uses(reading, subjects, places, base) if any(places) and wanted else []
    elif kind != "decision":
        uses += call_uses(reading, subjects, places, base)
    elif subjects:
        uses += [use for use in call_uses(reading, subjects, places, base) if any(site for site in places if site)]
    if about_memory(reading, kind, sites):
        uses += memory_uses(reading, subjects, sites, base)
    if (kind == "context" or kind == "linux" and asks_counterpart(reading) or kind == "decision" and not any(use.get("act") == "call" for use in uses)) and not any(use.get("act") == "context" for use in uses):
        uses += [{**base, **{name: value for name, value in place.items() if name not in ("lock",)}, "act": "context"} for place in places if "routine" in place]
        if not any("routine" in place for place in places):
            uses += [{**base, "routine": routine, "act": "context"} for routine in list(registered_routines(reading))[-1:]]
    if kind == "linux" and any(places) and not any(use.get("act") in MEMORY_ACTS for use in uses) and linux_allocates(reading):
        uses += [{**{name: value for name, value in base.items() if name != "memory.pool"}, **place, "act": act} for place in places if place for act in ("allocate", "touch")]
    given = given_pool(reading)
    if given and kind in ("decision", "api_irql", "context") and any("irql.highest" in place or "routine" in place or "lock" in place for place in places):
        if reading.cues("passive_memory"):
            return [{**base, **place, "act": "touch", "memory.pool": given, "said.pool": "true"} for place in places if place]
    run = reading.named_facts("code.pageable")
    if run and kind in ("decision", "context", "api_irql", "linux") and all(use.get("act") == "context" for use in uses):
        uses += [{**base, **place, "act": "run"} for place in places]
    if run and kind in ("api_irql", "context", "decision") and not any(use.get("act") == "run" for use in uses):
        uses += [
            {**{name: value for name, value in use.items() if name != "acquired"}, "act": "run", "lock": (str(use["acquired"]),)} for use in uses if use.get("act") == "acquire"
        ]  # "may my pageable function take a spin lock?": it then runs under it
    return uses


def exist_uses(reading: Reading, kind: str, subjects: list[tuple[str, str]], base: Use) -> list[Use]:
    """Whether what is named exists on the Windows version named: a use for each routine, pool type or flag."""
    versions = sorted((one.value for one in reading.versions()), key=list(reading.terms.facts["windows"].values).index)
    if not versions or not reading.cues("exist") and not (kind == "migration" and reading.rows("pool_arguments")):
        return []
    windows: Use = {"windows": versions[0], "act": "exist"}  # one binary for several versions must run on the oldest
    arguments: list[Use] = [
        {**windows, "pool.argument": one.value}
        for one in reading.rows("pool_arguments")[:1]
        if (row := reading.terms.row("pool_arguments", one.value)) is not None and row.more.get("since")
    ]
    return [{**windows, "ddi": name} for what, name in subjects if what == "ddi" and (ddi := reading.ddi_table.find(name)) is not None and ddi.since] or arguments


def call_uses(reading: Reading, subjects: list[tuple[str, str]], places: list[Use], base: Use) -> list[Use]:
    """A use for each thing called or acquired and each place."""
    uses: list[Use] = []
    merged = merge_places(places)
    if len({one.value for one in reading.pool_mentions()}) == 2 and not reading.cues("pool_question"):
        base = {**base, "memory.pool": "paged"}  # both are touched: the worse one counts
    for what, name in subjects:
        for place in merged:
            if what == "ddi":
                said = said_condition(reading, name)
                uses.append({**base, **place, "act": "call", "ddi": name, **({"condition": said} if said else {})})
            elif what == "lock":
                uses.append({**base, **place, "act": "acquire", "acquired": name})
    if not subjects and not asks_counterpart(reading):
        subject = linux_subject(reading)
        if subject and any(places):
            uses += [{**base, **place, "act": "call", "ddi": subject} for place in merged]
    if not subjects and not uses and any(key == "wait" for key, _, _ in reading.cues("acts")) and any(places):
        uses += [{**base, **place, "act": "wait"} for place in merged]
    return uses


def asks_counterpart(reading: Reading) -> bool:
    """
    Whether the text asks if a routine of Windows is what one of Linux is: `counterpart of thread_fn = EvtInterruptWorkItem?`, so its level is what counts.

    What is asked of Linux words after that is asked of the routine: `tasklet = DPC? May I kmalloc there?`.
    """
    asked = {reading.numbers[first] for _, first, _ in reading.cues("counterpart")}
    named = [one for one in reading.rows("routines") if one.clause in asked and [token.text for token in reading.tokens[one.last + 1 : one.last + 2]] == ["?"]]
    return any(not any(other.first > one.last for other in reading.rows("linux")) for one in named)


def linux_subject(reading: Reading) -> str:
    """The documented routine that stands for the Linux one asked about; empty when the question names none or it maps in part only to flags."""
    for one in reading.rows("linux"):
        row = reading.terms.row("linux", one.value)
        if row is None or row.more.get("routine"):
            continue
        names = [str(name) for name in row.more.get("windows") or ()]
        if reading.rows("locks") and any(name.lower() in reading.vocabulary.acquirers for name in names):
            continue  # a `struct mutex` there, a WDFWAITLOCK here
        for name in names:
            ddi = reading.ddi_table.find(name)
            if ddi is not None and ddi.kind != "callback" and ddi.rows:
                return ddi.name
    return ""


def merge_places(places: list[Use]) -> list[Use]:
    """Places for a call: different routines are different places; levels and locks named apart from them join the last."""
    routines = [place for place in places if "routine" in place]
    if not routines:
        joint: Use = {}
        for place in places:
            for name, value in place.items():
                if name == "lock" and "lock" in joint:
                    joint["lock"] = tuple(sorted({*joint["lock"], *value}))
                elif name == "irql.highest" and "irql.highest" in joint and rank(str(value)) < rank(str(joint[name])):
                    continue
                elif name == "irql.lowest" and "irql.lowest" in joint and rank(str(value)) < rank(str(joint[name])):
                    continue
                else:
                    joint[name] = value
        return [joint]
    rest = [place for place in places if "routine" not in place]
    out = [dict(place) for place in routines]
    for place in rest:
        for target in out[-1:]:
            if "irql.highest" in place and "irql.highest" not in target:
                target["irql.apart"] = "true"
            for name, value in place.items():
                target.setdefault(name, value)
    return out
