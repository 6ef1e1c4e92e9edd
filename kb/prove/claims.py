"""Table rows in, claims out: each figure of a row with what its citations must say for it to stand there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kb.engine import Knowledge, judge
from kb.prove.pages import Pages, cited_page
from kb.terms import LEVELS, Citation, Row, Terms, rank, text_of

NAMED = (
    (r"passive[_ ]level|irql\s*=\s*0\b|\bpassive\b(?! interrupt)", "PASSIVE_LEVEL"),
    (r"apc[_ ]level", "APC_LEVEL"),
    (r"(?:dispatch|dpc)[_ ]level|\bDISPATCH\b(?! routine)(?!_)", "DISPATCH_LEVEL"),
    (r"\bdirqls?\b|device irql|\bSynchronizeIrql\b|IRQL of the interrupt|at the irql of", "DIRQL"),
    (r"high_level|ipi_level|clock_level|profile_level|\bhigh irql", "HIGH_LEVEL"),
)
ANY = re.compile(r"\bany irql\b|\bany level\b|all irqls|irql: any|at any irql", re.I)
LEVEL = re.compile("|".join(f"(?P<L{number}>{pattern})" for number, (pattern, _) in enumerate(NAMED)), re.I)
UPTO = re.compile(r"(<=|≤|&lt;=|can be called at|may be called at|at most|up to|or below|or lower|or less|maximum|highest|max_level|not above|no higher|at or below|less than or equal)", re.I)
UNDER = re.compile(r"(<(?!=)|\bless than(?! or equal)|\bbelow(?!.*or below)|lower than)\s*(?:irql\s*)?$", re.I)
FROM = re.compile(r"(>=|≥|at least|or above|or higher|or greater|minimum|min_level)", re.I)
OVER = re.compile(r"(>(?!=)|greater than(?! or equal)|(?<!no )higher than|\babove)\s*(?:irql\s*)?$", re.I)
Range = tuple[str, str]


def level_at(match: re.Match[str]) -> str:
    """The level that a match of `LEVEL` names."""
    return next(level for number, (_, level) in enumerate(NAMED) if match.group(f"L{number}"))


def ranges_in(term: str) -> list[Range]:
    """
    The ranges of IRQL that one term states.

    Args:
        term: Such as `IRQL <= DISPATCH_LEVEL`, `called at PASSIVE_LEVEL`, `Any level`.

    Returns:
        A range a level named: with a sign or its words up to the level or from it, without one the level alone.
    """
    found: list[Range] = []
    if ANY.search(term):
        found.append((LEVELS[0], LEVELS[-1]))
    if re.search(r"(within|in|inside) a critical region", term, re.I):
        found.append((LEVELS[0], "APC_LEVEL"))  # entered at APC_LEVEL or below, which the rows of the regions cite
    ends = [match.end() for match in LEVEL.finditer(term)]
    for number, match in enumerate(LEVEL.finditer(term)):
        level = level_at(match)
        before = term[ends[number - 1] if number else 0 : match.start()]
        after = term[match.end() : match.end() + 14]
        later = re.match(r"[`*\s,]*(or|and) (below|lower|less|above|higher|greater|a lower)", after, re.I)
        if UNDER.search(before):
            found.append((LEVELS[0], LEVELS[max(0, rank(level) - 1)]))
        elif OVER.search(before):
            found.append((LEVELS[min(4, rank(level) + 1)], LEVELS[-1]))
        elif UPTO.search(before[-28:]) or (later and later.group(2).lower() in ("below", "lower", "less", "a lower")):
            found.append((LEVELS[0], level))
        elif FROM.search(before[-24:]) or (later and later.group(2).lower() in ("above", "higher", "greater")):
            found.append((level, LEVELS[-1]))
        else:
            found.append((level, level))
    return found


def hull(ranges: Sequence[Range]) -> Range | None:
    """The smallest range that holds them all; None for no range."""
    if not ranges:
        return None
    return min((low for low, _ in ranges), key=rank), max((high for _, high in ranges), key=rank)


@dataclass(frozen=True)
class Claim:
    """One figure of one row."""

    where: str
    """`<table>/<row>`."""
    field: str
    value: str
    others: tuple[str, ...]
    """The values a mutant puts in its place."""
    carries: Callable[[str], bool]
    """Whether the citations of the row carry a value for this field."""


def texts(citations: Iterable[Citation]) -> list[str]:
    """The terms of each citation as one text."""
    return [" | ".join(citation.terms) for citation in citations]


def told(citations: Iterable[Citation]) -> list[Range]:
    """Every range that a term of these citations states, and the joint range of each citation."""
    found: list[Range] = []
    for citation in citations:
        own = [one for term in citation.terms for one in ranges_in(term)]
        joint = hull(own)
        found += own
        if joint is not None:
            found.append(joint)
    return found


def joint_range(citations: Iterable[Citation]) -> Range | None:
    """The smallest range that holds everything these citations state."""
    return hull([one for citation in citations for term in citation.terms for one in ranges_in(term)])


def wider(one: Range | None, other: Range | None) -> bool:
    """Whether a range reaches further than another one."""
    return one is not None and other is not None and (rank(one[0]) < rank(other[0]) or rank(one[1]) > rank(other[1]))


def own_citations(case: Mapping[str, Any], row: Row) -> tuple[Citation, ...]:
    """The citations of a case, those of its row where it has none."""
    return tuple(Citation.read(entry, row.id) for entry in case.get("citations") or ()) or row.citations


def next_levels(level: str) -> tuple[str, ...]:
    """The levels beside one."""
    at = rank(level)
    return LEVELS[max(0, at - 1) : at] + LEVELS[at + 1 : at + 2]


def range_claims(where: str, field: str, irql: Mapping[str, str], fits: Callable[[Range], bool]) -> Iterator[Claim]:
    """Two claims, the lowest and the highest level of a range; the other end stays as it is."""
    low, high = irql["lowest"], irql["highest"]
    yield Claim(where, f"{field}.lowest", low, tuple(one for one in next_levels(low) if rank(one) <= rank(high)), lambda value: fits((value, high)))
    yield Claim(where, f"{field}.highest", high, tuple(one for one in next_levels(high) if rank(one) >= rank(low)), lambda value: fits((low, value)))


FACT_WORDS: Mapping[tuple[str, str], str] = {
    ("execution.level", "passive"): r"(?<!not specify )WdfExecutionLevelPassive",
    ("execution.level", "dispatch"): r"WdfExecutionLevelDispatch|by default|DPC|spin lock",
    ("operation.synchronized", "true"): r"FLT_PREOP_SYNCHRONIZE|synchroni[sz]ed",
    ("operation.synchronized", "false"): r"arbitrary thread|WITH_CALLBACK|not synchroni[sz]ed",
    ("caller", "user"): r"user-mode|most drivers|arbitrary thread context|paging path",
    ("caller", "kernel"): r"kernel-mode|highest-level|upper|<= ?DISPATCH_LEVEL",
    ("io.paging", "true"): r"paging (path|I/O|file)",
    ("io.paging", "false"): r"most drivers|exceptions|POWER_PAGABLE|PASSIVE_LEVEL",
    ("memory.pool", "paged"): r"(?<!non)(?<!non-)paged",
    ("memory.pool", "nonpaged"): r"non-?paged",
    ("interrupt.passive", "true"): r"passive[- ]level",
    ("interrupt.passive", "false"): r"spin lock|DIRQL",
    ("power.pagable", "true"): r"DO_POWER_PAGABLE",
    ("power.pagable", "false"): r"DO_POWER_INRUSH",
    ("handle", "device"): r"WDFDEVICE",
    ("wait.timeout", "zero"): r"zero|Timeout",
    ("wait.mode", "kernel"): r"KernelMode|kernel-mode|resident|resides",
    ("wait.mode", "user"): r"UserMode|user mode|must set the WaitMode",
    ("memory.place", "stack"): r"stack|must be resident",
}
"""Words of the documentation that speak of a value of a fact."""


def speaks_of(fact: str, value: str, citations: Sequence[Citation]) -> bool:
    """Whether a term of the citations speaks of a value of a fact."""
    pattern = FACT_WORDS.get((fact, value))
    return pattern is not None and any(re.search(pattern, text, re.I) for text in texts(citations))


def routine_claims(row: Row) -> Iterator[Claim]:
    """The range of a routine is the smallest that holds what its citations state; that of a case is one its own citations state."""
    where = f"routines/{row.id}"
    every = joint_range(row.citations)
    required = joint_range([citation for citation in row.citations if citation.section == "requirements"])
    fitting = {required or every} | ({every} if wider(every, required) else set())
    yield from range_claims(where, "irql", row.more["irql"], lambda irql: irql in fitting)
    for number, case in enumerate(row.more.get("cases") or (), start=1):
        cited = own_citations(case, row)
        stated = told(cited)
        upto = {(LEVELS[0], high) for low, high in stated if low == high} if case.get("irql", {}).get("lowest") == LEVELS[0] else set()
        if case.get("irql"):
            yield from range_claims(where, f"case {number}", case["irql"], lambda irql, stated=stated, upto=upto: irql in stated or irql in upto)  # type: ignore[misc]
        yield from when_claims(where, number, case, cited)


def when_claims(where: str, number: int, case: Mapping[str, Any], cited: Sequence[Citation]) -> Iterator[Claim]:
    """The condition of a case: its citations speak of the value, and not of the opposite one."""
    for fact, wanted in case["when"].items():
        for one in wanted if isinstance(wanted, list) else [wanted]:
            value = text_of(one)
            others = tuple(other for name, other in FACT_WORDS if name == fact and other != value)
            yield Claim(where, f"case {number} when {fact}", value, others, lambda value, fact=fact: speaks_of(fact, value, cited))  # type: ignore[misc]


RELEASING = re.compile(r"releas|left|leav|lower|set(ting)? |exit", re.I)
RAISING = re.compile(r"\b(sets|raises|raise|raised|reset|resets)\b|returns at|runs at|executes? at|is held|holder|holding|routine at DIRQL", re.I)
KEEPING = re.compile(r"no raise is necessary|not (change|raise)|without modifying|optimized|immediately returns FALSE|implicitly|guarded region", re.I)
MEETING = re.compile(r"must be (running|called)|called at|<=|>=|only (when|while)|must occur", re.I)


def routine_of(citation: Citation) -> str | None:
    """The routine, in lower case, whose reference page is cited; None for another page."""
    documented = re.search(r"/nf-\w+-(\w+)$", citation.page)
    return documented.group(1) if documented else None


def lock_ranges(row: Row, column: str) -> set[Range]:
    """
    The ranges that the citations of a lock state for one of its columns.

    A term that says raise, set or hold speaks of the lock while it is held; every other level of its page speaks of the call.

    Args:
        row: The lock.
        column: `requires`, `release` or `held`.

    Returns:
        The ranges; for `held` of a lock that leaves the IRQL alone, what it requires.
    """
    frees = [str(name).lower() for name in row.more.get("free") or ()]
    takes = [str(name).lower() for name in row.more.get("acquire") or ()]
    found: set[Range] = set()
    own_page = {"requires": takes, "release": frees, "held": []}[column]
    anchored = any(citation.page.endswith(f"-{name}") for citation in row.citations for name in own_page)
    for citation in row.citations:
        routine = routine_of(citation)
        if anchored and routine and routine not in (*takes, *frees):
            continue  # another routine's page, such as that of the wait for the last release
        freeing = bool(RELEASING.search(citation.says)) or routine in frees
        taking = not freeing or "acqui" in citation.says.lower()
        raising = any(RAISING.search(term) and not MEETING.search(term) for term in citation.terms)
        told_here: list[Range] = []
        for term in citation.terms:
            meeting = bool(MEETING.search(term))
            holding = bool(RAISING.search(term)) and not meeting
            if column == "held":
                speaks = holding or not meeting and (raising or bool(re.search(r"holder|under (a|the|its) |until the release|is held|while", citation.says, re.I)))
            else:
                speaks = (freeing if column == "release" else taking) and not holding and (meeting or not raising)
            told_here += ranges_in(term) if speaks else []
            if column == "requires" and "NewIrql >= CurrentIrql" in term and row.more.get("held"):
                return {(LEVELS[0], row.more["held"]["highest"])}
        joint = hull(told_here)
        found |= {*told_here, joint} if joint is not None else set()
    if not found and column == "requires":
        found = set(told(row.citations))  # its own pages state no level, a sibling's page does
    if column == "release" and row.more.get("held") and any(re.search(r"restor|lowers", text) for text in texts(row.citations)):
        found.add((row.more["held"]["lowest"], row.more["held"]["highest"]))  # the release restores the level, so it happens at the level held
    requires = row.more.get("requires")
    if column == "held" and not found and requires and any(KEEPING.search(text) for text in texts(row.citations)):
        low, high = requires["lowest"], requires["highest"]
        found.add((low, high) if low == LEVELS[0] else (low, low))
    return found


def lock_claims(row: Row) -> Iterator[Claim]:
    """Levels of a lock: a citation that speaks of acquiring, releasing or holding it states exactly this range."""
    where = f"locks/{row.id}"
    for column in ("requires", "release", "held"):
        if row.more.get(column):
            stated = lock_ranges(row, column)
            yield from range_claims(where, column, row.more[column], lambda irql, stated=stated: irql in stated)  # type: ignore[misc]
    if row.more.get("storage"):
        yield storage_claim(where, row)
    for number, case in enumerate(row.more.get("cases") or (), start=1):
        cited = list(own_citations(case, row))
        found = told(cited)
        for column in ("held", "requires"):
            if case.get(column):
                yield from range_claims(where, f"case {number} {column}", case[column], lambda irql, found=found: irql in found)  # type: ignore[misc]
        yield from when_claims(where, number, case, cited)


RESIDENT = re.compile(r"paged pool safely|non-?\s?paged|resident|non-?pageable|system[- ]space|must not be pageable|DISPATCH_LEVEL|extension|allocates the storage|system-allocated|kernel stack", re.I)
EITHER = re.compile(
    r"paged or non-?paged|nonpaged\w* or paged|paged lookaside list or|paged or nonpaged lookaside|(?<!non)(?<!non-)paged (memory )?pool(?! safely)|(?<!non)(?<!not )(?<!access )(?<!cannot be )pageable|type of (pool|memory)|"
    r"block itself is nonpaged|tree is nonpaged|\bPagedPool|nonpaged pool \| IRQL <=|must be resident \| IRQL >=|copy of|PASSIVE_LEVEL \| system thread|NotificationStructure",
    re.I,
)
"""Words that admit pageable memory, if only below a level."""
DEMAND = re.compile(r"must (always )?(be|reside|remain|provide|allocate)[^|]*(non-?paged|resident|nonpageable)|must allocate|resident storage|only accepts|should not|resident at all|nonpaged system|(kernel|local|thread) stack|the stack", re.I)
"""Words that admit nothing but resident memory."""


def storage_claim(where: str, row: Row) -> Claim:
    """Where an object or lock may live: `either` needs a citation that admits pageable memory, `nonpaged` one that demands residency, `stack_allowed` one that names the stack."""
    cited = texts(citation for citation in row.citations if citation.section != "requirements")
    value = str(row.more["storage"])
    admits = [text for text in cited if EITHER.search(text) and not re.search(r"fatal|will not|always memory|references to pageable", text) and (not DEMAND.search(text) or re.search(r"IRQL (>=|=|<=|>)", text))]
    demands = [text for text in cited if RESIDENT.search(text)]

    def carries(storage: str) -> bool:
        if storage == "stack_allowed":
            return any("stack" in text.lower() for text in cited)
        return bool(admits) if storage == "either" else bool(demands) and not admits

    others = {"nonpaged": ("either",), "either": ("nonpaged",), "stack_allowed": ("either",)}[value]
    return Claim(where, "storage", value, others, carries)


def object_claims(row: Row, knowledge: Knowledge) -> Iterator[Claim]:
    """Storage of an object, and its cases: what a case allows must be resident by the rules, what it forbids must not."""
    where = f"objects/{row.id}"
    yield storage_claim(where, row)
    for number, case in enumerate(row.more.get("cases") or (), start=1):
        cited = own_citations(case, row)
        when = {str(name): text_of(value) for name, value in case["when"].items() if not isinstance(value, list)}
        allowed = bool(case.get("allowed", True))
        if set(when) == {"memory.place", "wait.mode"}:

            def agrees(mode: str, when: Mapping[str, str] = when, allowed: bool = allowed, cited: Sequence[Citation] = cited) -> bool:
                use = {"act": "touch", "memory.place": when["memory.place"], "wait.mode": mode, "irql.lowest": "DISPATCH_LEVEL", "irql.highest": "DISPATCH_LEVEL"}
                return speaks_of("wait.mode", mode, cited) and (judge(use, knowledge).outcome == "allowed") == allowed

            mode = when["wait.mode"]
            yield Claim(where, f"case {number} when wait.mode", mode, ("user" if mode == "kernel" else "kernel",), agrees)
            continue
        if when.get("memory.pool") and not allowed:  # what forbids paged pool says that nonpaged pool is demanded
            demanded = {"paged": "nonpaged", "nonpaged": "paged"}
            yield Claim(where, f"case {number} when memory.pool", when["memory.pool"], (demanded[when["memory.pool"]],), lambda pool, cited=cited: speaks_of("memory.pool", demanded[pool], cited))  # type: ignore[misc]
            case = {**case, "when": {name: value for name, value in case["when"].items() if name != "memory.pool"}}
        yield from when_claims(where, number, case, cited)


def upper_bounds(citations: Iterable[Citation], both: bool) -> list[list[str]]:
    """
    The highest levels that each citation states.

    Args:
        citations: Of one row.
        both: Whether citations that state two levels, one for each kind of memory, put the others aside.

    Returns:
        A list a citation that states any.
    """
    found = [[high for term in one.terms for _, high in ranges_in(term)] for one in citations]
    stated = [highs for highs in found if highs]
    pairs = [highs for highs in stated if len(set(highs)) > 1]
    return pairs if both and pairs else stated


def allocator_claims(row: Row, terms: Terms) -> Iterator[Claim]:
    """Memory and levels of an allocator; where a citation states two levels, the lower one is that of paged memory."""
    where = f"allocators/{row.id}"
    names = [name.lower() for name in row.names]
    frees = [str(name).lower() for name in (row.more.get("release") or {}).get("with") or ()]
    for column, other in (("allocate", frees), ("release", names)):
        levels = row.more.get(column) or {}
        cited = [one for one in row.citations if not any(one.page.endswith(f"-{name}") or one.page.endswith(f"_{name}") for name in other if name not in (frees if column == "release" else names))]
        anchored = any(routine_of(one) in (frees if column == "release" else names) for one in cited)
        for memory in ("any", "paged", "nonpaged"):
            if memory in levels:
                value = levels[memory]["highest"]
                near = [one for one in cited if memory != "any" or not anchored or routine_of(one) is None or routine_of(one) in (*names, *frees)]
                bounds = upper_bounds(near, both=memory != "any") or upper_bounds(row.citations, both=memory != "any")
                pick = min if memory == "paged" else max
                yield Claim(where, f"{column}.{memory}.highest", value, next_levels(value), lambda level, bounds=bounds, pick=pick: any(level == pick(highs, key=rank) for highs in bounds))  # type: ignore[misc]
    for name, pool in (row.more.get("pools") or {}).items():
        argument = next((one for one in terms.tables["pool_arguments"].values() if name in one.names), None)
        spelled = "nonpaged" if re.search(r"non_?paged|^\.data", name, re.I) else "paged"
        known = str(argument.more.get("pool")) if argument is not None else spelled
        yield Claim(where, f"pools.{name}", str(pool), ("paged" if pool == "nonpaged" else "nonpaged",), lambda value, known=known: value == known)  # type: ignore[misc]
    gives = str(row.more["gives"])
    text = " || ".join([*texts(one for one in row.citations if one.section != "parameters"), *(one.page for one in row.citations)])
    levels = [*(row.more.get("allocate") or {}).values(), *(level for level in (row.more.get("release") or {}).values() if isinstance(level, dict))]
    high = any(rank(level["highest"]) >= rank("DISPATCH_LEVEL") for level in levels)  # what may be used at DISPATCH_LEVEL is resident
    resident = high or bool(re.search(r"non-?paged(?! section)|nonpageable|not pageable|resident|contiguous|uncached|common_?buffer|kernel-mode stack|lockedpages", text, re.I))
    pageable = bool(re.search(r"(?<!non)(?<!non-)paged(?! out)|(?<!not )(?<!non)pageable|page fault|calling process|committed page|PASSIVE_LEVEL \|\||allocate the buffer", text, re.I))

    def carries(value: str) -> bool:
        if (value == "by_argument") != bool(row.more.get("pools")):
            return False
        return {"nonpaged": resident, "paged": pageable and not resident}.get(value, gives == value)

    if gives in ("paged", "nonpaged", "by_argument"):
        yield Claim(where, "gives", gives, tuple(one for one in ("paged", "nonpaged") if one != gives), carries)


def argument_claims(row: Row, terms: Terms) -> Iterator[Claim]:
    """Value and pool of a pool argument."""
    where = f"pool_arguments/{row.id}"
    cited = texts(row.citations)
    if "value" in row.more:
        value = int(str(row.more["value"]), 0)
        computed = enumerated(row, terms)
        yield Claim(where, "value", str(value), (str(value + 1), str(value * 2 + 2)), lambda one: int(one) == computed if computed is not None else any(says_number(text, int(one)) for text in cited))
    if row.more.get("pool"):
        pool = str(row.more["pool"])

        def carries(one: str) -> bool:
            spoken = [text for text in cited if re.search(r"paged|pageable", text, re.I)]
            resident = [text for text in spoken if re.search(r"non-?_?page", text, re.I)]
            named = " ".join(row.names)
            sure = bool(re.search(r"non_?paged", named, re.I)) if "paged" in named.lower() else bool(resident)
            return bool(spoken) and (one == "nonpaged") == sure

        yield Claim(where, "pool", pool, ("paged" if pool == "nonpaged" else "nonpaged",), carries)


def enumerated(row: Row, terms: Terms) -> int | None:
    """The value of a constant as its cited declaration computes it: `A = 32`, `A = B + 4`, or the one after its predecessor; None without one."""
    name = row.names[0] if row.names else row.id
    rows = {one.names[0]: one for one in terms.tables["pool_arguments"].values() if one.names}
    for text in texts(row.citations):
        exact = re.search(rf"\b{re.escape(name)} = (\w+)(?: \+ (\d+))?", text)
        if exact:
            base = exact.group(1)
            start = int(base) if base.isdigit() else int(str(rows[base].more["value"]), 0) if base in rows else None
            return None if start is None else start + int(exact.group(2) or 0)
        after = re.search(rf"(\w+) = [\w +]+, {re.escape(name)}\b", text)
        if after and after.group(1) in rows:
            return int(str(rows[after.group(1)].more["value"]), 0) + 1
        given = re.search(rf"^{re.escape(name)}:(\d+)$", text)
        if given:
            return int(given.group(1))
        if re.search(rf"enum \w+ \{{ {re.escape(name)}\b", text):
            return 0
    return None


def says_number(text: str, number: int) -> bool:
    """Whether a text holds a number, in decimal or hexadecimal."""
    found = []
    for match in re.finditer(r"(?<![\w.])(?<!Windows )(?<!version )(0x[0-9a-f]+|\d+)", text, re.I):
        digits = match.group(1)
        found.append(int(digits, 16) if digits.lower().startswith("0x") else int(digits))
    return number in found


def bugcheck_claims(row: Row, pages: Pages | None) -> Iterator[Claim]:
    """
    Code, subcodes and parameter values of a bug check.

    The code stands in the name of the page. A value stands in the terms of its citation, or on the page: in the row of the page's table
    that also holds the terms of the subcode, or beside a word of what the value means.

    Args:
        row: The bug check.
        pages: The corpus; without it the values that only the page carries make no claim.

    Yields:
        The claims.
    """
    where = f"bugchecks/{row.id}"
    code = int(row.more["code"])
    yield Claim(where, "code", hex(code), (hex(code + 1), hex(code ^ 0x10)), lambda value: cited_page(row, f"debugger/bug-check-{value}-") is not None)
    page = cited_page(row, "debugger/bug-check-") or ""
    subcodes = [int(sub["value"]) for sub in row.more.get("subcodes") or ()]
    for sub in row.more.get("subcodes") or ():
        value, cited = int(sub["value"]), own_citations(sub, row)

        def carries(one: str, value: int = value, cited: Sequence[Citation] = cited) -> bool:
            number = int(one, 16)
            if subcodes.count(number) > (1 if number == value else 0) and number != value:
                return False  # two subcodes of one value
            if any(says_number(text, value) for text in texts(cited)):
                return any(says_number(text, number) for text in texts(cited))
            return pages is not None and any(says_number(line[:36], number) for citation in cited for line in pages.rows(citation.page) if not line.lstrip("| ").startswith("parameter") and all(pages.reader.plain(term) in line for term in citation.terms))

        if pages is not None or any(says_number(text, value) for text in texts(cited)):
            yield Claim(where, f"subcode {value:#x}", hex(value), (hex(value + 1), hex(value ^ 0x10)), carries)
    for number, parameter in enumerate(row.more.get("parameters") or (), start=1):
        for key, meaning in (parameter.get("values") or {}).items():
            if pages is None:
                continue
            words = [word.lower()[:5] if "_" not in word else word.lower() for word in re.findall(r"[A-Za-z_]{4,}", re.split(r"[:(]", str(meaning))[0])]
            value = int(key)
            statuses = [name for name in pages.raw if name.startswith("debugger/bug-check-")] if str(meaning).startswith("STATUS_") else [page]
            yield Claim(where, f"parameter {number} value {value:#x}", hex(value), (hex(value ^ 0x10), hex(value ^ 0x20)), lambda one, words=words, statuses=statuses: any(beside(line, int(one, 16), words) for sheet in statuses for line in pages.rows(sheet)))  # type: ignore[misc]


def beside(line: str, number: int, words: Sequence[str]) -> bool:
    """Whether words of a meaning stand within 120 characters after a number and before the next one; pages write 10 for 0x10."""
    matches = list(re.finditer(r"(?<![\w.])(0x[0-9a-f`]+|\d+)(?![\w.])", line))
    for at, match in enumerate(matches):
        digits = match.group(1).replace("`", "")
        end = min(match.end() + 120, matches[at + 1].start() if at + 1 < len(matches) else len(line))
        if number in (int(digits, 16), int(digits, 16 if digits.startswith("0x") else 10)) and near(line[match.end() : end], words):
            return True
    return False


def near(text: str, words: Sequence[str]) -> bool:
    """Whether a text holds the first of these words, or two of them and a third of them all."""
    count = sum(word in text for word in words)
    return bool(words) and (words[0] in text and count >= len(words) // 3 or count >= max(2, len(words) // 3))


NAMES = {"argument.wait": ("Wait", "ReleaseWait", "WaitForCompletion", "WaitForDelete"), "wait.mode": ("WaitMode",), "wait.timeout": ("Timeout", "TimeOut"), "mapping": ("AccessMode",)}
"""What the parameter is called that states a fact."""
SPELLED = {"TRUE": "true", "FALSE": "false", "KernelMode": "kernel", "UserMode": "user", "NULL": "nonzero", "nullptr": "nonzero"}
"""What the literals mean: a wait without a time-out waits for ever."""


def position_claims(entry: Mapping[str, Any], knowledge: Knowledge, pages: Pages | None) -> Iterator[Claim]:
    """Position and values of an argument: the parameter there, on the page of the routine, is the one that states the fact."""
    ddi = knowledge.ddis.find(str(entry["ddi"]))
    where, fact, position = f"arguments/{entry['ddi']}", str(entry["fact"]), int(entry["position"])
    for literal, value in entry["values"].items():
        others = tuple(one for one in knowledge.terms.facts[fact].values if one != value)
        yield Claim(where, f"{fact} of {literal}", str(value), others, lambda one, literal=literal: SPELLED.get(str(literal)) == one)  # type: ignore[misc]
    if pages is None or ddi is None:
        return
    known = next((names for page in ddi.pages if (names := pages.parameters(page.page))), [])

    def carries(one: str) -> bool:
        at = int(one)
        return at < len(known) and at >= 0 and any(name.lower() in known[at].lower() for name in NAMES[fact])

    yield Claim(where, f"position of {fact}", str(position), (str(position + 1), str(position - 1)), carries)


def linux_claims(row: Row, knowledge: Knowledge) -> Iterator[Claim]:
    """Each Windows name that a Linux term maps to is a documented routine, a row of a table, or a term of a citation."""
    where = f"linux/{row.id}"
    text = " ".join([*texts(row.citations), *(one.page for one in row.citations)]).lower()

    def known(name: str) -> bool:
        if name in knowledge.ddis or name in LEVELS or name.lower().replace(" ", "-") in text:
            return True
        return name.lower() in text or any(name in other.names for other in knowledge.terms.rows())

    for name in row.more.get("windows") or ():
        yield Claim(where, f"windows {name}", str(name), (f"{name}X",), known)


def claims(knowledge: Knowledge, pages: Pages | None = None) -> Iterator[Claim]:
    """
    Every figure of the hand-written tables that its citations must carry.

    Args:
        knowledge: The tables, and the rules and routines that some columns are compared with.
        pages: The corpus, None where it is absent; what only a page carries then makes no claim.

    Yields:
        Claims, in table order.
    """
    terms = knowledge.terms
    for row in terms.tables["routines"].values():
        yield from routine_claims(row)
    for row in terms.tables["locks"].values():
        yield from lock_claims(row)
    for row in terms.tables["objects"].values():
        yield from object_claims(row, knowledge)
    for row in terms.tables["allocators"].values():
        yield from allocator_claims(row, terms)
    for row in terms.tables["pool_arguments"].values():
        yield from argument_claims(row, terms)
    for row in terms.tables["bugchecks"].values():
        yield from bugcheck_claims(row, pages)
    for row in terms.tables["linux"].values():
        yield from linux_claims(row, knowledge)
    for entry in terms.arguments:
        yield from position_claims(entry, knowledge, pages)
