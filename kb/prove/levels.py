"""A term of a citation in, the ranges of IRQL that it states out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from kb.terms import LEVELS, Citation, rank

NAMED = (
    (r"passive[_ ]level|irql\s*=\s*0\b|\bpassive\b(?! interrupt)", "PASSIVE_LEVEL"),
    (r"apc[_ ]level", "APC_LEVEL"),
    (r"(?<!FLAG_)(?:dispatch|dpc)[_ ]level|\bDISPATCH\b(?! routine)(?!_)", "DISPATCH_LEVEL"),
    (r"\bdirqls?\b|device irql|\bSynchronizeIrql\b|IRQL of the interrupt|at the irql of", "DIRQL"),
    (r"high_level|ipi_level|clock_level|profile_level|\bhigh irql", "HIGH_LEVEL"),
)
ANY = re.compile(r"\bany irql\b|\bany level\b|all irqls|irql: any|at any irql", re.I)
LEVEL = re.compile("|".join(f"(?P<L{number}>{pattern})" for number, (pattern, _) in enumerate(NAMED)), re.I)
UPTO = re.compile(
    r"(<=|≤|&lt;=|can be called at|possibly at|\bmay [\w ]{0,40}at\b|at most|up to|or below|or lower|or less|maximum|highest|max_level|not above|no higher|at or below|less than or equal)",
    re.I,
)
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
        elif UPTO.search(before[-56:]) or (later and later.group(2).lower() in ("below", "lower", "less", "a lower")):
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
