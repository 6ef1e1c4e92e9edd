"""Places in, uses of the memory asked about out: allocated, touched, freed."""

from __future__ import annotations

from kb.question.calls import acts_of
from kb.question.doings import handings, happening
from kb.question.locks import loose_raising_lock, unnamed_lock
from kb.question.places import acts_after, done_elsewhere
from kb.question.reading import Reading
from kb.question.records import MEMORY_ACTS, Site, Use
from kb.question.routines import elsewhere, registered_routines, unknown_caller, unread_place


def memory_uses(reading: Reading, subjects: list[tuple[str, str]], sites: list[Site], base: Use) -> list[Use]:
    """The uses of the memory asked about: at each place, what the clause says is done there."""
    base = {name: value for name, value in base.items() if name != "memory.pool"}
    if reading.pool_mentions() and base.get("memory.place") in ("user_buffer", "stack"):
        del base["memory.place"]  # the other end of a copy
    called = {act for _, name in subjects for act in acts_of(reading, name)}
    acts_in_text = tuple(dict.fromkeys(key for key, _, _ in happening(reading) if key in MEMORY_ACTS))
    uses: list[Use] = []
    named = {site.routine for site in sites}
    for routine, clause in registered_routines(reading).items():
        if routine not in named:
            told = [act for act in acts_after(reading, clause) if act in MEMORY_ACTS]
            uses += [{**base, "routine": routine, "act": act} for act in told or ["touch"]]  # what is handed to the callback is touched in it
    for site in sites:
        acts = tuple(dict.fromkeys((*(act for act in site.acts if act in MEMORY_ACTS), *sorted(called))))
        if not acts:
            here = tuple(dict.fromkeys(key for key, first, last in happening(reading) if key in MEMORY_ACTS and not done_elsewhere(reading, key, first, last, site)))
            acts = here if len(sites) == 1 and here else ("touch",)
        for act in acts:
            uses.append({**base, **site.facts(), "act": act})
        if acts == ("allocate",) and used_on_the_spot(reading) and not only_elsewhere(reading, site, sites):
            uses.append({**base, **site.facts(), "act": "touch"})
    if uses and freed_elsewhere(reading, sites) and not reading.cues("only"):
        uses.append({**base, "act": "free"})
    if not uses:
        return [{**base, "act": "touch"}]
    if unread_place(reading) or unknown_caller(reading) or elsewhere(reading) or unnamed_lock(reading) and not any("lock" in use for use in uses):
        uses.append({**base, "act": "touch"})
    elif loose_raising_lock(reading, uses, subjects):
        uses.append({**base, "act": "touch"})  # a spin lock that is spoken of may be held around the memory
    asked = called and len({one.value for one in reading.pool_mentions()}) == 1  # "ExAllocatePool2(POOL_FLAG_PAGED) allowed?" asks of the call alone
    if not asked and not any(use["act"] == "touch" for use in uses) and not used_on_the_spot(reading) and "free" not in acts_in_text:
        uses.append({**base, "act": "touch"})
    unique: list[Use] = []
    for use in uses:
        if use not in unique:
            unique.append(use)
    return unique


def freed_elsewhere(reading: Reading, sites: list[Site]) -> bool:
    """Whether the memory is freed at a place that was not read as one: `allocated in AddDevice, read in a DPC, freed in the remove handler`."""
    placed = {site.clause for site in sites}
    for key, first, last in happening(reading):
        if key == "free" and reading.tokens[first].word in ("free", "freed", "freeing") and reading.numbers[first] not in placed:
            following = [token.word for token in reading.tokens[last + 1 : last + 3]]
            if following[:1] and (following[0] in ("in", "by", "from") or following[0] in ("it", "them") and following[1:] in (["in"], ["from"])):
                return True
    return False


def used_on_the_spot(reading: Reading) -> bool:
    """Whether the memory is used only where it is allocated: a temporary or scratch buffer, freed before return."""
    words = {token.word for token in reading.tokens}
    verbs = {verb for verb, _ in handings(reading)}
    only = [last for _, _, last in reading.cues("only") if last + 1 not in verbs]  # "it just signals an event" says nothing of the memory
    return bool(only) or bool(words & {"temp", "scratch", "temporary", "need", "needs"})


def only_elsewhere(reading: Reading, site: Site, sites: list[Site]) -> bool:
    """Whether `only` is said of another place: `DriverEntry allocates it, only the DPC touches it`."""
    others = {other.clause for other in sites if other.routine != site.routine and "touch" in other.acts}
    return bool(others) and all(reading.numbers[first] in others - {site.clause} for _, first, _ in reading.cues("only"))


def given_pool(reading: Reading) -> str:
    """The pool that the allocator named always gives, when the text asks of touching what it gave; empty when it gives a choice."""
    if reading.speaks_of_pool():
        return ""
    for one in reading.rows("allocators"):
        row = reading.terms.row("allocators", one.value)
        if row is not None and row.more.get("gives") in ("paged", "nonpaged") and not row.more.get("place"):
            return str(row.more["gives"])
    return ""


def pool_asked(reading: Reading, kind: str) -> bool:
    """Whether memory of some pool is what the question is about."""
    return bool(kind == "decision" or reading.speaks_of_pool() or reading.cues("pool_word") or reading.rows("allocators"))


def about_memory(reading: Reading, kind: str, sites: list[Site]) -> bool:
    """Whether a question of this kind is also about memory, which is then used at the places it names."""
    if kind in ("decision", "linux", "context"):
        here = {site.clause for site in sites}
        acts = {key for key, first, _ in reading.cues("acts") if reading.numbers[first] in here}
        if kind == "context":
            return reading.speaks_of_pool() or bool(reading.cues("pool_word") or acts.intersection(MEMORY_ACTS))
        return pool_asked(reading, kind) or "touch" in acts
    return kind in ("api_irql", "howto", "migration") and bool(sites) and reading.speaks_of_pool()


def linux_allocates(reading: Reading) -> bool:
    """Whether the Linux terms named allocate memory."""
    allocators = {name for row in reading.terms.tables.get("allocators", {}).values() for name in row.names}
    rows = [reading.terms.row("linux", one.value) for one in reading.rows("linux")]
    return any(row is not None and not row.more.get("routine") and allocators & {str(name) for name in row.more.get("windows") or ()} for row in rows)
