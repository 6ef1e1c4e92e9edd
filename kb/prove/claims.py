"""Table rows in, claims out: each figure of a row with what its citations must say for it to stand there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kb.engine import Knowledge, judge
from kb.prove.levels import Range, hull, joint_range, ranges_in, texts, told, wider
from kb.prove.pages import Pages, cited_page
from kb.prove.profiles import case_facts
from kb.terms import LEVELS, Citation, Row, Terms, rank, text_of


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


def within(stated: Iterable[Range]) -> Callable[[Range], bool]:
    """Whether a range is one of these."""
    ranges = set(stated)
    return lambda irql: irql in ranges


def equals(*known: str) -> Callable[[str], bool]:
    """Whether a value is one of these."""
    return lambda value: value in known


def speaker(fact: str, citations: Sequence[Citation]) -> Callable[[str], bool]:
    """Whether a term of the citations speaks of a value of this fact."""
    return lambda value: speaks_of(fact, value, citations)


OTHER_POOL = {"paged": "nonpaged", "nonpaged": "paged"}


def demander(citations: Sequence[Citation]) -> Callable[[str], bool]:
    """Whether the citations speak of the other pool, which they demand."""
    return lambda pool: speaks_of("memory.pool", OTHER_POOL[pool], citations)


def stands(lines: Sequence[str], words: Sequence[str]) -> Callable[[str], bool]:
    """Whether a number stands beside these words in one of the lines."""
    return lambda value: any(beside(line, int(value, 16), words) for line in lines)


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
    ("ks.processing", "passive"): r"default IRQL = PASSIVE_LEVEL|do not specify this flag",
    ("ks.processing", "dispatch"): r"(?<!not )specif(y|ied) KS\w+_FLAG_DISPATCH",
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
            yield from range_claims(where, f"case {number}", case["irql"], within({*stated, *upto}))
        yield from when_claims(where, number, case, cited)


def when_claims(where: str, number: int, case: Mapping[str, Any], cited: Sequence[Citation]) -> Iterator[Claim]:
    """The condition of a case: its citations speak of the value, and not of the opposite one."""
    for fact, wanted in case["when"].items():
        for one in wanted if isinstance(wanted, list) else [wanted]:
            value = text_of(one)
            others = tuple(other for name, other in FACT_WORDS if name == fact and other != value)
            yield Claim(where, f"case {number} when {fact}", value, others, speaker(fact, cited))


def condition_claims(where: str, row: Row) -> Iterator[Claim]:
    """
    What the citations of a case speak of stands in its condition, so that a dropped condition is noticed.

    Args:
        where: Table and row.
        row: A row with cases; the facts of all their conditions are its vocabulary.

    Yields:
        A claim for each fact of the vocabulary and each case.
    """
    vocabulary = case_facts([row])
    for number, case in enumerate(row.more.get("cases") or (), start=1):
        cited = own_citations(case, row)
        for fact in vocabulary:
            spoken = any(speaks_of(fact, value, cited) for name, value in FACT_WORDS if name == fact)
            if fact in case["when"]:
                yield Claim(where, f"case {number} condition {fact}", "stated", ("dropped",), equals("stated") if spoken else equals("stated", "dropped"))
            else:
                yield Claim(where, f"case {number} condition {fact}", "absent", (), equals() if spoken else equals("absent"))


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
            yield from range_claims(where, column, row.more[column], within(stated))
    if row.more.get("storage"):
        yield storage_claim(where, row)
    for number, case in enumerate(row.more.get("cases") or (), start=1):
        cited = list(own_citations(case, row))
        found = told(cited)
        for column in ("held", "requires"):
            if case.get(column):
                yield from range_claims(where, f"case {number} {column}", case[column], within(found))
        yield from when_claims(where, number, case, cited)


RESIDENT = re.compile(
    r"paged pool safely|non-?\s?paged|resident|non-?pageable|system[- ]space|must not be pageable|DISPATCH_LEVEL|extension|allocates the storage|system-allocated|kernel stack",
    re.I,
)
EITHER = re.compile(
    r"paged or non-?paged|nonpaged\w* or paged|paged lookaside list or|paged or nonpaged lookaside|(?<!non)(?<!non-)paged (memory )?pool(?! safely)|(?<!non)(?<!not )(?<!access )(?<!cannot be )pageable|type of (pool|memory)|"
    r"block itself is nonpaged|tree is nonpaged|\bPagedPool|nonpaged pool \| IRQL <=|must be resident \| IRQL >=|copy of|PASSIVE_LEVEL \| system thread|NotificationStructure",
    re.I,
)
"""Words that admit pageable memory, if only below a level."""
DEMAND = re.compile(
    r"must (always )?(be|reside|remain|provide|allocate)[^|]*(non-?paged|resident|nonpageable)|must allocate|resident storage|only accepts|should not|resident at all|nonpaged system|(kernel|local|thread) stack|the stack",
    re.I,
)
"""Words that admit nothing but resident memory."""


def storage_claim(where: str, row: Row) -> Claim:
    """Where an object or lock may live: `either` needs a citation that admits pageable memory, `nonpaged` one that demands residency, `stack_allowed` one that names the stack."""
    cited = texts(citation for citation in row.citations if citation.section != "requirements")
    value = str(row.more["storage"])
    admits = [
        text
        for text in cited
        if EITHER.search(text) and not re.search(r"fatal|will not|always memory|references to pageable", text) and (not DEMAND.search(text) or re.search(r"IRQL (>=|=|<=|>)", text))
    ]
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
            pool = when["memory.pool"]
            yield Claim(where, f"case {number} when memory.pool", pool, (OTHER_POOL[pool],), demander(cited))
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
        cited = [
            one
            for one in row.citations
            if not any(one.page.endswith(f"-{name}") or one.page.endswith(f"_{name}") for name in other if name not in (frees if column == "release" else names))
        ]
        anchored = any(routine_of(one) in (frees if column == "release" else names) for one in cited)
        for memory in ("any", "paged", "nonpaged"):
            if memory in levels:
                value = levels[memory]["highest"]
                near = [one for one in cited if memory != "any" or not anchored or routine_of(one) is None or routine_of(one) in (*names, *frees)]
                bounds = upper_bounds(near, both=memory != "any") or upper_bounds(row.citations, both=memory != "any")
                yield Claim(where, f"{column}.{memory}.highest", value, next_levels(value), equals(*((min if memory == "paged" else max)(highs, key=rank) for highs in bounds)))
    for name, pool in (row.more.get("pools") or {}).items():
        argument = next((one for one in terms.tables["pool_arguments"].values() if name in one.names), None)
        spelled = "nonpaged" if re.search(r"non_?paged|^\.data", name, re.I) else "paged"
        known = str(argument.more.get("pool")) if argument is not None else spelled
        yield Claim(where, f"pools.{name}", str(pool), ("paged" if pool == "nonpaged" else "nonpaged",), equals(known))
    gives = str(row.more["gives"])
    text = " || ".join([*texts(one for one in row.citations if one.section != "parameters"), *(one.page for one in row.citations)])
    levels = [*(row.more.get("allocate") or {}).values(), *(level for level in (row.more.get("release") or {}).values() if isinstance(level, dict))]
    high = any(rank(level["highest"]) >= rank("DISPATCH_LEVEL") for level in levels)  # what may be used at DISPATCH_LEVEL is resident
    resident = high or bool(re.search(r"non-?paged(?! section)|nonpageable|not pageable|resident|contiguous|uncached|common_?buffer|kernel-mode stack|lockedpages", text, re.I))
    pageable = bool(
        re.search(r"(?<!non)(?<!non-)paged(?! out)|(?<!not )(?<!non)pageable|page fault|calling process|committed page|PASSIVE_LEVEL \|\||allocate the buffer", text, re.I)
    )

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
        yield Claim(
            where,
            "value",
            str(value),
            (str(value + 1), str(value * 2 + 2)),
            lambda one: int(one) == computed if computed is not None else any(says_number(text, int(one)) for text in cited),
        )
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
            return pages is not None and any(
                says_number(line[:36], number)
                for citation in cited
                for line in pages.rows(citation.page)
                if not line.lstrip("| ").startswith("parameter") and all(pages.reader.plain(term) in line for term in citation.terms)
            )

        if pages is not None or any(says_number(text, value) for text in texts(cited)):
            yield Claim(where, f"subcode {value:#x}", hex(value), (hex(value + 1), hex(value ^ 0x10)), carries)
    for number, parameter in enumerate(row.more.get("parameters") or (), start=1):
        for key, meaning in (parameter.get("values") or {}).items():
            if pages is None:
                continue
            words = [word.lower()[:5] if "_" not in word else word.lower() for word in re.findall(r"[A-Za-z_]{4,}", re.split(r"[:(]", str(meaning))[0])]
            value = int(key)
            sheets = [name for name in pages.raw if name.startswith("debugger/bug-check-")] if str(meaning).startswith("STATUS_") else [page]
            yield Claim(
                where,
                f"parameter {number} value {value:#x}",
                hex(value),
                (hex(value ^ 0x10), hex(value ^ 0x20)),
                stands([line for sheet in sheets for line in pages.rows(sheet)], words),
            )


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


NAMES = {
    "argument.wait": ("Wait", "ReleaseWait", "WaitForCompletion", "WaitForDelete", "Flags"),
    "wait.mode": ("WaitMode",),
    "wait.timeout": ("Timeout", "TimeOut"),
    "mapping": ("AccessMode",),
}
"""What the parameter is called that states a fact."""
SPELLED = {"TRUE": "true", "FALSE": "false", "KernelMode": "kernel", "UserMode": "user", "NULL": "nonzero", "nullptr": "nonzero", "PO_FX_FLAG_BLOCKING": "true", "PO_FX_FLAG_ASYNC_ONLY": "false", "0": "false"}
"""What the literals mean: a wait without a time-out waits for ever, and flags of zero do not block."""


def position_claims(entry: Mapping[str, Any], knowledge: Knowledge, pages: Pages | None) -> Iterator[Claim]:
    """Position and values of an argument: the parameter there, on the page of the routine, is the one that states the fact."""
    ddi = knowledge.ddis.find(str(entry["ddi"]))
    where, fact, position = f"arguments/{entry['ddi']}", str(entry["fact"]), int(entry["position"])
    for literal, value in entry["values"].items():
        others = tuple(one for one in knowledge.terms.facts[fact].values if one != value)
        yield Claim(where, f"{fact} of {literal}", str(value), others, equals(SPELLED.get(str(literal), "")))
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
        yield from condition_claims(f"routines/{row.id}", row)
    for row in terms.tables["locks"].values():
        yield from lock_claims(row)
        yield from condition_claims(f"locks/{row.id}", row)
    for row in terms.tables["objects"].values():
        yield from object_claims(row, knowledge)
        yield from condition_claims(f"objects/{row.id}", row)
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
