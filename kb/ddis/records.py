"""What is documented of one routine: its pages, its rows, its IRQL range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kb.terms import LEVELS, rank

RESTORES = "restores"
"""Value of `Ddi.raises` when the routine puts the caller's earlier IRQL back."""


@dataclass(frozen=True)
class DdiPage:
    """One reference page of a routine; several hundred routines have pages under several headers."""

    page: str
    """Page id, empty for a routine known from a header only."""
    url: str
    header: str
    raw: str
    """What the page's `req.irql` says, cut to 60 characters; empty when it says nothing."""

    def to_json(self) -> dict[str, str]:
        """The page with the keys of contract.md."""
        return {"page": self.page, "url": self.url, "header": self.header, "raw": self.raw}


@dataclass(frozen=True)
class DdiRow:
    """The IRQL range under one condition, as one source states it."""

    when: Mapping[str, str]
    """Facts that must hold, by name of `facts.yaml`; empty: always."""
    condition: str | None
    """Our words: for people when `when` says it too, or what no fact expresses; None when unconditional."""
    min: str | None
    max: str | None
    source: str
    """`page` (front matter), `remarks`, `header` (SAL annotation) or `correction` (read by a person)."""
    page: str
    section: str
    until: str | None = None
    """The last Windows the row holds for; such rows are history, in `Ddi.history` only."""

    def to_json(self) -> dict[str, Any]:
        """The row with the keys of contract.md, and `when`, `section`."""
        return {
            "condition": self.condition, "min": self.min, "max": self.max, "source": self.source, "page": self.page,
            "when": dict(self.when), "section": self.section,
        }  # fmt: skip

    @property
    def span(self) -> str:
        """The range in words, such as `<= DISPATCH_LEVEL`."""
        return describe(self.min, self.max)


@dataclass(frozen=True)
class Ddi:
    """All that is documented of one routine."""

    name: str
    aliases: tuple[str, ...]
    kind: str
    """function, callback or macro."""
    role: str
    """called_by_driver or implemented_by_driver."""
    pages: tuple[DdiPage, ...]
    rows: tuple[DdiRow, ...]
    """Unconditional rows first. Where a condition holds, its row outranks the unconditional one of the same witness."""
    since: str | None
    deprecated_by: str | None
    contradictions: tuple[str, ...]
    raises: str | None = None
    """The IRQL after the call where it changes it, `restores` when it puts the earlier one back, else None."""
    history: tuple[DdiRow, ...] = field(default=())
    """What held for Windows versions of the past."""
    notes: tuple[str, ...] = ()
    """What the person who read the page for ddi_corrections.csv says of it."""

    @property
    def min(self) -> str | None:
        """Lowest IRQL over all conditions; None when stated nowhere."""
        return min((row.min for row in self.working if row.min), key=rank, default=None)

    @property
    def max(self) -> str | None:
        """Highest IRQL over all conditions; None when stated nowhere."""
        return max((row.max for row in self.working if row.max), key=rank, default=None)

    @property
    def page(self) -> str:
        """Id of the main page: one that states a level, of the most general header; empty for a routine known from a header only."""
        return self.pages[0].page if self.pages else ""

    @property
    def working(self) -> tuple[DdiRow, ...]:
        """
        The rows a verdict rests on: the documentation's, or the header's where the documentation states nothing.

        A page's bare `X` counts as `<= X` or `>= X` where the header says so; `rows` and `contradictions` keep what the page says.
        """
        header = tuple(row for row in self.rows if row.source == "header")
        told = tuple(row for row in self.rows if row.source != "header")
        return tuple(next((replace(row, min=h.min, max=h.max) for h in header if lacks_sign(row, h, self.role)), row) for row in told) or header

    def to_json(self) -> dict[str, Any]:
        """The record as contract.md gives it for `python -m kb irql NAME --json`; extra keys: aliases, raises."""
        return {
            "name": self.name, "found": True, "near": [], "kind": self.kind,
            "pages": [page.to_json() for page in self.pages],
            "rows": [row.to_json() for row in self.rows],
            "role": self.role, "min": self.min, "max": self.max, "since": self.since, "deprecated_by": self.deprecated_by,
            "contradictions": list(self.contradictions), "aliases": list(self.aliases), "raises": self.raises,
        }  # fmt: skip


def describe(low: str | None, high: str | None) -> str:
    """
    An IRQL range in words.

    Args:
        low: Lowest level, None for unknown.
        high: Highest level, None for unknown.

    Returns:
        `any level`, `<= X`, `>= X`, `X`, `X to Y`, or `not stated`.
    """
    if low is None and high is None:
        return "not stated"
    low, high = low or LEVELS[0], high or LEVELS[-1]
    if low == high:
        return low
    if low == LEVELS[0]:
        return "any level" if high == LEVELS[-1] else f"<= {high}"
    return f">= {low}" if high == LEVELS[-1] else f"{low} to {high}"


def case_of(row: DdiRow) -> tuple[Any, ...]:
    """What tells the case of a row from other cases: its facts, else its words."""
    return (tuple(sorted(row.when.items())), row.condition if not row.when else None)


def lacks_sign(page: DdiRow, header: DdiRow, role: str) -> bool:
    """Whether a page's bare `X` is the header's `<= X` or `>= X` with its sign left out, as 67 pages have it."""
    if role != "called_by_driver" or page.source != "page" or page.min != page.max or case_of(page) != case_of(header):
        return False
    at_most = header.max == page.max != LEVELS[0] and header.min == LEVELS[0]
    return at_most or (header.min == page.min != LEVELS[0] and header.max == LEVELS[-1])
