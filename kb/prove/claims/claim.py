"""One figure with what its citations must say for it to stand there, and what several tables read from citations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kb.prove.levels import Range
from kb.terms import LEVELS, Citation, Row, rank


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


def range_claims(where: str, field: str, irql: Mapping[str, str], fits: Callable[[Range], bool]) -> Iterator[Claim]:
    """Two claims, the lowest and the highest level of a range; the other end stays as it is."""
    low, high = irql["lowest"], irql["highest"]
    yield Claim(where, f"{field}.lowest", low, tuple(one for one in next_levels(low) if rank(one) <= rank(high)), lambda value: fits((value, high)))
    yield Claim(where, f"{field}.highest", high, tuple(one for one in next_levels(high) if rank(one) >= rank(low)), lambda value: fits((low, value)))


def next_levels(level: str) -> tuple[str, ...]:
    """The levels beside one."""
    at = rank(level)
    return LEVELS[max(0, at - 1) : at] + LEVELS[at + 1 : at + 2]


def within(stated: Iterable[Range]) -> Callable[[Range], bool]:
    """Whether a range is one of these."""
    ranges = set(stated)
    return lambda irql: irql in ranges


def equals(*known: str) -> Callable[[str], bool]:
    """Whether a value is one of these."""
    return lambda value: value in known


def own_citations(case: Mapping[str, Any], row: Row) -> tuple[Citation, ...]:
    """The citations of a case, those of its row where it has none."""
    return tuple(Citation.read(entry, row.id) for entry in case.get("citations") or ()) or row.citations


def routine_of(citation: Citation) -> str | None:
    """The routine, in lower case, whose reference page is cited; None for another page."""
    documented = re.search(r"/nf-\w+-(\w+)$", citation.page)
    return documented.group(1) if documented else None


def says_number(text: str, number: int) -> bool:
    """Whether a text holds a number, in decimal or hexadecimal."""
    found = []
    for match in re.finditer(r"(?<![\w.])(?<!Windows )(?<!version )(0x[0-9a-f]+|\d+)", text, re.I):
        digits = match.group(1)
        found.append(int(digits, 16) if digits.lower().startswith("0x") else int(digits))
    return number in found
