"""A row of allocators.yaml in, its claims out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kb.prove.claims.claim import Claim, equals, next_levels, routine_of
from kb.prove.levels import ranges_in, texts
from kb.terms import Citation, Row, Terms, rank


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
