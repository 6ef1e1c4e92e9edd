"""Routines, levels and held locks in, places out: where something happens, and which acts of a clause belong there."""

from __future__ import annotations

from kb.question.calls import acts_of, sentence_asks
from kb.question.doings import FACTUAL, HANDED, handings, happening, states
from kb.question.levels import level_ranges
from kb.question.locks import held_locks
from kb.question.reading import Reading
from kb.question.records import MEMORY_ACTS, Site
from kb.question.routines import is_implemented, routine_mentions
from kb.question.words import tokenize
from kb.terms import Row

DETERMINERS = frozenset("the a an my our its another some one this every each".split())
BESIDE = frozenset("only just merely simply then i we it itself will may can always which that routine callback at most nothing but to exit exits return returns".split())
CIRCUMSTANCES = frozenset("after before when if once while with using as unless until whenever where by for because".split())
ASKING = frozenset("which what where can may is are do does doe ok fine safe paged nonpaged must should could crash why how".split())
IS = frozenset("is are was wa were get got".split())
SUBJECTS = {"nobody", "nothing"}  # they deny of others what they deny
RAISED_THERE = frozenset("at a an , ( running sitting executing raised to is run runs that which already currently still after raising".split())
TAGS = {"right", "correct", "true", "yes", "no", "ok", "isnt", "isn't"}
TOUCHING = frozenset("dereference touch touche touched acces access accesse accessed read look use used reference referenced write written".split())


def sites_in(reading: Reading, subjects: set[int]) -> list[Site]:
    """Every place the text names, one a clause and routine, in order."""
    by_clause = routine_sites(reading, subjects)
    add_levels(reading, by_clause)
    add_locks(reading, subjects, by_clause)
    add_acts(reading, by_clause)
    drop_handovers(reading, by_clause)
    ordered = [site for number in sorted(by_clause) for site in by_clause[number]]
    return merge_locks([site for site in ordered if not site.empty()])


def routine_sites(reading: Reading, subjects: set[int]) -> dict[int, list[Site]]:
    """The routines named, by clause."""
    by_clause: dict[int, list[Site]] = {}
    last = -9
    queuing = {verb for verb, target in handings(reading) if target < verb}
    for one in routine_mentions(reading):
        if one.last + 1 in queuing:
            continue  # "the work item that the DPC queues": the DPC is told of by the way
        leading = {token.word for token in reading.tokens[max(0, one.first - 4) : one.first]}
        if "like" in {token.word for token in reading.tokens[max(0, one.first - 3) : one.first]} and by_clause:
            continue  # "dispatch like the reader's completion callback?" compares
        doing = any(key in MEMORY_ACTS and 0 < first - one.last <= 2 for key, first, _ in reading.cues("acts"))  # "because the DPC reads it too" is a place
        if leading & {"since", "because"} and not doing and one.table == "routines" and reading.numbers[one.first] > 0 and by_clause:
            continue  # "PASSIVE, since pofx uses worker threads" gives a reason, not a place
        if one.first in subjects or one.first - last <= 1:
            continue  # "WdfRequestSetCompletionRoutine CompletionRoutine" is one routine
        last = one.last
        value = one.value
        sites = by_clause.setdefault(one.clause, [])
        if not any(site.routine == value for site in sites):
            sites.append(Site(one.clause, routine=value, words=[one.words], first=one.first))
    return by_clause


def add_levels(reading: Reading, by_clause: dict[int, list[Site]]) -> None:
    """Put each level to the routine it is said of, or make it a place of its own."""
    for one, low, high, claim in level_ranges(reading):
        near = by_clause.setdefault(one.clause, [])
        said_before = [site for site in near if site.routine and site.first < one.first and not site.highest]
        target = said_before[-1] if said_before else near[-1] if near and not near[-1].highest else None  # "by a worker thread at passive and freed in a completion routine"
        if target is not None and target.routine and any(key == "allocate" and target.first < first < one.first for key, first, _ in reading.cues("acts")) and not claim:
            near.append(Site(one.clause, lowest=low, highest=high, words=[one.words], first=one.first, fixed=("allocate",)))
            continue  # "the callback gets a context that I allocate at passive": the level is that of the allocation
        if target is None:
            before = [site for number, group in by_clause.items() if number < one.clause for site in group if site.routine and not site.highest]
            gap = one.clause - before[-1].clause if before else 9
            if before and claim and gap <= 2:
                target = before[-1]
        about = next((lock for lock in reading.rows("locks") if lock.clause == one.clause and lock.last < one.first), None)
        if target is None and about is not None and {token.word for token in reading.tokens[about.last + 1 : one.first]} & {"raise", "raises", "raised", "go", "mean", "set"}:
            near.append(Site(one.clause, locks=(about.value,), claim=(low, high), words=[about.words, one.words], first=about.first))
            continue  # "a fast mutex raises to DISPATCH_LEVEL" says something of the lock
        asking = clause_asks(reading, one.clause) and not in_subordinate(reading, one.first) or is_tagged(reading, one.last)
        if target is None and claim and asking:
            continue  # "does it come in at DISPATCH_LEVEL?" asks, it places nothing
        if target is None:
            near.append(Site(one.clause, lowest=low, highest=high, words=[one.words], first=one.first))
        elif (claim or is_tagged(reading, one.last)) and target.routine and asking:
            continue  # "guaranteed passive?", "so it is passive, right?" ask
        elif claim and target.routine:
            target.claim = (low, high)
            target.words.append(one.words)
        else:
            target.lowest, target.highest = low, high
            target.apart = bool(target.routine) and not told_there(reading, target, one.first)
            target.words.append(one.words)


def is_tagged(reading: Reading, last: int) -> bool:
    """Whether a conclusion ends with a question: `so it is passive, right?`; a level told with `at` is told all the same."""
    after = [token.word for token in reading.tokens[last + 1 : last + 4]]
    leading = {token.word for token in reading.tokens[max(0, last - 3) : last]}
    return after[:1] == [","] and after[1:2] != [] and after[1] in TAGS and after[2:3] == ["?"] and "is" in leading and "at" not in leading


def told_there(reading: Reading, site: Site, at: int) -> bool:
    """Whether a level follows a routine's name as the place in it: `a system thread sitting at APC_LEVEL`."""
    between = {token.word for token in reading.tokens[site.first + len(tokenize(site.words[0])) : at]}
    return site.first < at and between <= RAISED_THERE


def in_subordinate(reading: Reading, at: int) -> bool:
    """Whether a level is told inside a question: `which pool when I run at IRQL 3?`, `PAGED_CODE() in a routine that runs at DISPATCH_LEVEL?`."""
    words = [token.word for number, token in zip(reading.numbers[:at], reading.tokens[:at], strict=True) if number == reading.numbers[at]]
    starts = [place for place, word in enumerate(words) if word in ("when", "while", "if", "that", "which", "whose", "where", "because", "since") and place > 0]
    return bool(starts) and len(words) - starts[-1] <= 6 and not {"what", "which", "why"} & set(words[starts[-1] + 1 :])


def add_locks(reading: Reading, subjects: set[int], by_clause: dict[int, list[Site]]) -> None:
    """Put each lock that is held around the places of its clause; alone it is a place too."""
    for one in held_locks(reading, subjects):
        beside = by_clause.setdefault(one.clause, [])
        if beside:
            for site in beside:
                site.locks = tuple(sorted({*site.locks, one.value}))
                site.words.append(one.words)
        else:
            beside.append(Site(one.clause, locks=(one.value,), words=[one.words], first=one.first))


def add_acts(reading: Reading, by_clause: dict[int, list[Site]]) -> None:
    """Give each place the acts of its clause that happen there, and empty those where something else happens."""
    for number, group in by_clause.items():
        for site in group:
            site.acts = tuple(
                dict.fromkeys(
                    key
                    for key, first, last in happening(reading)
                    if reading.numbers[first] == number and not done_elsewhere(reading, key, first, last, site) and site is nearest(doers(reading, group, first), first)
                )
            )
            if site.routine and site is group[-1] and not any(act in MEMORY_ACTS for act in site.acts):
                site.acts = (*site.acts, *(acts_after(reading, number) or acts_of_which(reading, site)))
            site.acts = site.fixed or site.acts
            if any(site.first > last and reading.numbers[first] == number and site.first - last <= 5 for _, first, last in reading.cues("other_acts")) and not site.locks:
                site.routine = site.lowest = site.highest = ""  # "the last reference was dropped in a post-op": not what touches the memory
            if any(reading.numbers[first] == number and first > site.first for _, first, _ in reading.cues("other_memory")):
                site.routine = site.lowest = site.highest = ""  # "the DPC reads only the copy"
                site.locks = ()
            if of_another_call(reading, site):
                site.routine = site.lowest = site.highest = ""
            if only_signals(reading, site, group):
                site.routine = site.lowest = site.highest = ""
                site.locks = ()


def drop_handovers(reading: Reading, by_clause: dict[int, list[Site]]) -> None:
    """
    Empty the places where a routine is only queued or something is only signaled, when the text says where the memory is touched.

    `I queue a work item from a DPC; only the work item touches the data`. What is handed over with the call may be touched on both sides, so a
    text that speaks of it keeps its places.
    """
    pairs = handings(reading)
    if not pairs or HANDED & {token.word for token in reading.tokens}:
        return
    sites = [site for group in by_clause.values() for site in group]
    hands = [site for site in sites if hands_over(reading, site, by_clause[site.clause], pairs)]
    elsewhere = [first for key, first, _ in happening(reading) if key == "touch" and not by_clause.get(reading.numbers[first]) and has_subject(reading, first)]
    touched = [site for site in sites if "touch" in site.acts and site not in hands and site.routine]
    for site in hands:
        idle = not any(act in MEMORY_ACTS for act in site.acts) and not goes_on(reading, site, by_clause)
        if idle and (touched or elsewhere or not site.routine and any(other.routine and other not in hands for other in sites)):
            site.routine = site.lowest = site.highest = ""
            site.claim, site.locks = None, ()
    for site in sites:
        queued = any(target == site.first for _, target in pairs)
        if queued and not any(act in MEMORY_ACTS for act in site.acts) and any(other.routine == site.routine for other in touched):
            site.routine = ""


def hands_over(reading: Reading, site: Site, group: list[Site], pairs: list[tuple[int, int]]) -> bool:
    """Whether a place queues or signals: `the DPC queues a work item`, `I queue a work item from a DPC`, `I set the timer at PASSIVE_LEVEL`."""
    for verb, target in pairs:
        if reading.numbers[verb] != site.clause or site.first == target:
            continue
        before = [other.first for other in group if other.first < verb]
        leading = {token.word for token in reading.tokens[max(target, site.first - 3) : site.first]}
        if site.first < verb and site.first == max(before) or site.first > target and leading & {"from", "in", "inside", "at", "within"}:
            return True
    return False


def doers(reading: Reading, group: list[Site], at: int) -> list[Site]:
    """The places of a clause that an act can belong to: not a routine that is queued, where `and` leads back to who queues it: `can my DPC queue a work item and touch X`."""
    queued = {target for _, target in handings(reading)}
    left = [site for site in group if not (site.first in queued and site.first < at and "and" in {token.word for token in reading.tokens[site.first : at]})]
    return left or group


def has_subject(reading: Reading, at: int) -> bool:
    """Whether the clause of an act names who does it, rather than going on with who was named: `the thread reads it`, not `reads it`, `it reads`."""
    words = [token.word for place, token in enumerate(reading.tokens[:at]) if reading.numbers[place] == reading.numbers[at] and token.text[0].isalnum()]
    words = [word for word in words if word not in ("and", "then", "so", "only", "later", "but")]
    return bool(words) and words[0] in DETERMINERS


def goes_on(reading: Reading, site: Site, by_clause: dict[int, list[Site]]) -> bool:
    """
    Whether more happens at a place than that something is queued or signaled, known as an act or not, in its clause or in those up to the next place.

    `the DPC queues a work item, reads the table and returns`, `the DPC collects the samples and queues a work item`.
    """
    here = [at for at, number in enumerate(reading.numbers) if number == site.clause]
    pairs = [(verb, target) for verb, target in handings(reading) if verb in here]
    first = min((verb for verb, _ in pairs if verb > site.first), default=site.first)
    if any(reading.tokens[at].word not in BESIDE for at in range(site.first + len(tokenize(site.words[0])), first)):
        return True
    if CIRCUMSTANCES & {reading.tokens[at].word for at in here if at > first}:
        return True  # "... after storing the result", "... only when the list is empty"
    verbs = {verb for verb, _ in pairs}
    for at in here:
        following = reading.tokens[at + 1].word if at + 1 < len(reading.tokens) else ""
        if reading.tokens[at].word in ("and", "or") and at > site.first and at + 1 not in verbs and following not in DETERMINERS | FACTUAL | BESIDE:
            return True
    later = min((number for number, group in by_clause.items() if number > site.clause and group), default=len(reading.tokens))
    asking = {reading.numbers[place] for group in ("pool_question", "pool_word") for _, place, _ in reading.cues(group)}
    for number in range(site.clause + 1, later):
        words = [token.word for at, token in enumerate(reading.tokens) if reading.numbers[at] == number and token.text[0].isalnum()]
        words = [word for word in words if word not in ("and", "then", "so", "only", "later", "but")]
        if words and number not in asking and words[0] not in DETERMINERS | ASKING and not FACTUAL & set(words):
            return True
    return False


def acts_of_which(reading: Reading, site: Site) -> tuple[str, ...]:
    """The acts of a clause that begins with `which` right after the place: `except for DriverEntry, which allocates it, only the DPC touches it`."""
    last = site.first + len(tokenize(site.words[0])) if site.words else 0
    if last + 1 >= len(reading.tokens) or reading.tokens[last].text != "," or reading.tokens[last + 1].word not in ("which", "who", "that"):
        return ()
    number = reading.numbers[last]
    if any(reading.numbers[one.first] == number for one in routine_mentions(reading)):
        return ()
    return tuple(dict.fromkeys(key for key, first, _ in happening(reading) if reading.numbers[first] == number and key in MEMORY_ACTS))


def acts_back(reading: Reading, number: int) -> tuple[str, ...]:
    """The acts of a clause that points back to a place named before: `in it I allocate a buffer`."""
    inside = [at for at in range(len(reading.tokens)) if reading.numbers[at] == number and reading.tokens[at].text[0].isalnum()]
    words = [reading.tokens[at].word for at in inside[:3]]
    back = (
        words[:2] in (["in", "it"], ["inside", "it"], ["from", "it"], ["from", "there"], ["in", "there"])
        or words[:1] == ["there"]
        or words == ["in", "that", "callback"]
        or words == ["in", "the", "callback"]
    )
    return tuple(dict.fromkeys(key for key, first, _ in happening(reading) if reading.numbers[first] == number)) if back else ()


def clause_asks(reading: Reading, clause: int) -> bool:
    """Whether a clause asks: it begins with `does`, `is`, `can` and the like, or its end is a question mark."""
    inside = [at for at in range(len(reading.tokens)) if reading.numbers[at] == clause]
    if not inside:
        return False
    first = next((reading.tokens[at].word for at in inside if reading.tokens[at].word not in (".", ",", "(", ")", ":", "and", "or", "-", "?", ";")), "")
    after = reading.tokens[inside[-1] + 1].text if inside[-1] + 1 < len(reading.tokens) else ""
    return first in ("does", "doe", "is", "are", "can", "do", "will", "may", "must") or after == "?"


def acts_after(reading: Reading, clause: int) -> tuple[str, ...]:
    """The acts of the clause after this one, when it points back to this one's place."""
    later = [number for number in sorted(set(reading.numbers)) if number > clause]
    return next((acts for number in later[:2] if (acts := acts_back(reading, number))), ())


def done_elsewhere(reading: Reading, act: str, first: int, last: int, site: Site) -> bool:
    """Whether an `allocated` in the clause speaks of another place: `the struct that StartDevice allocated`."""
    if act == "allocate" and came_before(reading, first, site):
        return True
    if act != "allocate" or reading.tokens[last].text.lower() not in ("allocated", "created", "obtained", "allocate"):
        return False
    following = {token.word for token in reading.tokens[last + 1 : last + 5]}
    if first and reading.tokens[first - 1].word in ("i", "we", "driver") and site.first < first and not following & {"there", "here", "in"}:
        return True  # "it looks up a table that I allocate from pool"
    return site.first < first and not following & {"there", "here"} and reading.tokens[first - 1].word not in ("get", "is", "are", "be", "was", "being") if first else False


def came_before(reading: Reading, at: int, site: Site) -> bool:
    """Whether a relative clause tells where memory is from, not that it is allocated there: `it writes into a struct that comes from paged pool`."""
    before = [token.word for token in reading.tokens[max(0, at - 2) : at]]
    passive = reading.tokens[at].text.lower() in ("comes", "come", "came") or before[-1:] and before[-1] in IS
    relative = {"that", "which"} & set(before)
    return bool(passive and relative) and site.first < at and not {"there", "here"} & {token.word for token in reading.tokens[at : at + 6]}


def object_mentions(reading: Reading) -> list[Row]:
    """Rows of the objects named."""
    return [row for one in reading.rows("objects") if (row := reading.terms.row("objects", one.value)) is not None]


def of_another_call(reading: Reading, site: Site) -> bool:
    """Whether a site is where some other routine is told to be called: `FltReleaseContext may be called at dispatch in my post-op`."""
    touching = {str(name) for row in object_mentions(reading) for name in row.more.get("ddis") or ()}
    for one in reading.mentions:
        if one.value in touching:
            continue  # "RtlSetBits gets called from the DPC": it touches the bitmap asked about
        if one.kind == "ddi" and one.clause == site.clause and one.last < site.first and not is_implemented(reading, one) and not sentence_asks(reading, one):
            between = [token.word for token in reading.tokens[one.last + 1 : min(one.last + 5, site.first)]]
            if {"called", "happen", "happened"} & set(between) and not acts_of(reading, one.value):
                return True
    return False


def only_signals(reading: Reading, site: Site, group: list[Site]) -> bool:
    """Whether the text denies that the site touches the memory: `a DPC moves the pointer, it does not dereference it`, `the DPC never touches it`."""
    queued = {target for _, target in handings(reading)}
    for _, first, last in reading.cues("negation"):
        number = reading.numbers[first]
        if number not in (site.clause, site.clause + 1) or first < site.first or any(site.first < other.first < first and other.first not in queued for other in group):
            continue
        if reading.tokens[last].word not in FACTUAL - SUBJECTS or not states(reading, first):
            continue  # "besides the DPC nobody reads it"
        acts = {reading.tokens[at].word for at in range(last + 1, min(last + 4, len(reading.tokens)))}
        if acts & {"else", "only", "just"}:
            continue  # "nothing else reads it" denies other places, not this one
        during = {token.word for at, token in enumerate(reading.tokens) if reading.numbers[at] == number} & {"during", "meanwhile", "inside", "then"}
        begins = [token.word for at, token in enumerate(reading.tokens) if reading.numbers[at] == number and token.text[0].isalnum()][:2]
        if acts & TOUCHING and (number == site.clause or during or bool({"it", "which", "that", "but"} & set(begins))):
            names = [
                one for one in reading.mentions if one.kind in ("row", "ddi") and reading.numbers[one.first] == number and one.first > last and one.table in ("routines", "locks")
            ]
            if not names:
                return True
    return False


def nearest(group: list[Site], at: int) -> Site:
    """The site of a clause that an act belongs to: with several routines the one whose name stands nearest, the one before it in doubt."""
    routines = [site for site in group if site.routine]
    if len(routines) < 2:
        return group[0] if len(group) == 1 else min(group, key=lambda site: (not site.routine, abs(site.first - at)))
    return min(routines, key=lambda site: (abs(site.first - at), site.first > at))


def merge_locks(sites: list[Site]) -> list[Site]:
    """Join a place that is only a lock with its neighbor: `in my completion routine, while holding a spin lock`."""
    out: list[Site] = []
    for site in sites:
        if site.locks and not site.routine and not site.highest and out and site.clause - out[-1].clause <= 1:
            out[-1].locks = tuple(sorted({*out[-1].locks, *site.locks}))
            out[-1].words += site.words
        elif out and out[-1].locks and not out[-1].routine and not out[-1].highest and site.clause - out[-1].clause <= 1 and not site.locks:
            site.locks = out[-1].locks
            site.words = out[-1].words + site.words
            out[-1] = site
        elif out and site.highest and not site.fixed and not site.routine and out[-1].routine and not out[-1].highest and not out[-1].claim and site.clause - out[-1].clause <= 1:
            out[-1].lowest, out[-1].highest, out[-1].apart = site.lowest, site.highest, True
            out[-1].words += site.words
        else:
            out.append(site)
    return out
