"""Table rows in, claims out: each figure of a row with what its citations must say for it to stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kb.terms import LEVELS, Citation, Row, rank, text_of

NAMED = (
    (r"passive[_ ]level|irql\s*=\s*0\b|\bpassive\b(?! interrupt)", "PASSIVE_LEVEL"),
    (r"apc[_ ]level", "APC_LEVEL"),
    (r"(?:dispatch|dpc)[_ ]level|dpc/dispatch level|\bdispatch level", "DISPATCH_LEVEL"),
    (r"\bdirqls?\b|device irql|\bSynchronizeIrql\b|IRQL of the interrupt|at the irql of", "DIRQL"),
    (r"high_level|ipi_level|clock_level|profile_level", "HIGH_LEVEL"),
)
ANY = re.compile(r"\bany irql\b|\bany level\b|all irqls|irql: any|at any irql", re.I)
LEVEL = re.compile("|".join(f"(?P<L{number}>{pattern})" for number, (pattern, _) in enumerate(NAMED)), re.I)
UPTO = re.compile(r"(<=|≤|&lt;=|at most|up to|or below|or lower|or less|maximum|highest|max_level|not above|no higher|at or below|less than or equal)", re.I)
UNDER = re.compile(r"(<(?!=)|\bless than(?! or equal)|\bbelow(?!.*or below)|lower than)\s*(?:irql\s*)?$", re.I)
FROM = re.compile(r"(>=|≥|at least|or above|or higher|or greater|minimum|min_level)", re.I)
OVER = re.compile(r"(>(?!=)|greater than(?! or equal)|higher than|\babove)\s*(?:irql\s*)?$", re.I)
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
        elif UPTO.search(before[-24:]) or (later and later.group(2).lower() in ("below", "lower", "less", "a lower")):
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
