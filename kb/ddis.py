"""The two DDI tables in, a documented routine by its name out: IRQL range, conditions, pages, near names."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kb.terms import KNOWLEDGE, LEVELS, KnowledgeError, page_url, rank

COLUMNS = (
    "name", "aliases", "kind", "role", "header", "page", "when", "condition", "min", "max", "source", "section",
    "since", "until", "deprecated_by", "effect", "contradiction", "raw",
)  # fmt: skip
"""Columns of ddis.csv; ddi_corrections.csv adds `reason`."""
SOURCES = ("page", "remarks", "header", "correction")
GENERAL = ("wdm.h", "ntddk.h", "ntifs.h")
"""Headers in whose order the pages of a routine are told."""
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
        return tuple(next((replace(row, min=h.min, max=h.max) for h in header if _lacks_sign(row, h, self.role)), row) for row in told) or header

    def to_json(self) -> dict[str, Any]:
        """The record as contract.md gives it for `python -m kb irql NAME --json`; extra keys: aliases, raises."""
        return {
            "name": self.name, "found": True, "near": [], "kind": self.kind,
            "pages": [page.to_json() for page in self.pages],
            "rows": [row.to_json() for row in self.rows],
            "role": self.role, "min": self.min, "max": self.max, "since": self.since, "deprecated_by": self.deprecated_by,
            "contradictions": list(self.contradictions), "aliases": list(self.aliases), "raises": self.raises,
        }  # fmt: skip


class DdiTable:
    """
    Every documented routine by name, alias or typedef.

    Only the lines of a routine that is asked for are parsed, so that loading takes milliseconds.
    """

    def __init__(self, lines: Iterable[str], corrections: Iterable[str] = (), extra: Iterable[str] = ()) -> None:
        """
        Group lines by routine.

        Args:
            lines: The lines of ddis.csv without its heading.
            corrections: Those of ddi_corrections.csv.
            extra: Those of tables that a user's own sources gave; for a routine the built-in table has, only new pages count.
        """
        self._lines: dict[str, list[str]] = {}
        self._fixes: dict[str, list[str]] = {}
        self._extra: dict[str, list[str]] = {}
        for store, source in ((self._lines, lines), (self._fixes, corrections), (self._extra, extra)):
            for line in source:
                key = line.partition(",")[0].lower()
                if key:
                    store.setdefault(key, []).append(line)
        self._keys: dict[str, None] = dict.fromkeys([*self._lines, *self._fixes, *self._extra])
        self._built: dict[str, Ddi] = {}

    @classmethod
    def load(cls, folder: Path = KNOWLEDGE, extra: Sequence[Path] = ()) -> DdiTable:
        """
        Read the tables.

        Args:
            folder: Holds ddis.csv and ddi_corrections.csv.
            extra: CSV files with the same columns, written beside the index from a user's own sources.

        Returns:
            The table.

        Raises:
            KnowledgeError: A file is missing or its heading is not the documented one.
        """
        added = [line for path in extra for line in _read_lines(path)]
        return cls(_read_lines(folder / "ddis.csv"), _read_lines(folder / "ddi_corrections.csv"), added)

    def __contains__(self, name: object) -> bool:
        """Whether *name* is a documented routine or an alias of one."""
        return isinstance(name, str) and self._resolve(name) is not None

    def __len__(self) -> int:
        """How many routines there are."""
        return len(self._keys)

    def names(self) -> Iterable[str]:
        """Every routine's documented name."""
        for key in self._keys:
            yield self._first(key).partition(",")[0]

    def find(self, name: str) -> Ddi | None:
        """
        Look one routine up.

        Args:
            name: Its name or an alias, in any case; trailing `()` is dropped.

        Returns:
            What is documented of it, None when there is no such routine.
        """
        key = self._resolve(name)
        if key is None:
            return None
        found = self._built.get(key)
        if found is None:
            found = self._built[key] = self._build(key)
        return found

    def near(self, name: str, n: int = 5) -> list[str]:
        """
        Documented names that look like a name that is none.

        Args:
            name: What was typed; blanks and underscores do not count.
            n: How many at most.

        Returns:
            Names, nearest first; names that share too little are left out.
        """
        from rapidfuzz import fuzz, process

        sought = _squash(name)
        if len(sought) < 3:
            return []
        scored = process.extract(sought, self._squashed, scorer=fuzz.ratio, score_cutoff=65, limit=max(4 * n, 20))
        # rapidfuzz orders equal scores by position: make the order independent of the file's
        best = sorted(((-round(score, 4), abs(len(text) - len(sought)), key) for text, score, key in scored))
        return [self._first(key).partition(",")[0] for _, _, key in best[:n]]

    @functools.cached_property
    def _squashed(self) -> dict[str, str]:
        return {key: _squash(key) for key in self._keys}

    @functools.cached_property
    def _aliases(self) -> dict[str, str]:
        """Keys by alias. Of several routines that claim one, the W form or the first version wins (RtlStringCbPrintf), else none."""
        owners: dict[str, set[str]] = {}
        for key in self._keys:
            for line in (*self._lines.get(key, ()), *self._fixes.get(key, ()), *self._extra.get(key, ())):
                cell = line.split(",", 2)[1]
                if cell:
                    for alias in cell.lower().split(";"):
                        owners.setdefault(alias, set()).add(key)
        found: dict[str, str] = {}
        for alias, keys in owners.items():
            if len(keys) == 1:
                (found[alias],) = keys
            else:
                for key in (f"{alias}w", f"{alias}0"):
                    if key in keys:
                        found[alias] = key
        return found

    def _resolve(self, name: str) -> str | None:
        key = name.strip().removesuffix("()").strip().lower()
        if key in self._keys:
            return key
        return self._aliases.get(key)

    def _first(self, key: str) -> str:
        return (self._lines.get(key) or self._fixes.get(key) or self._extra[key])[0]

    def _build(self, key: str) -> Ddi:
        own = [_Line.read(line, "ddis.csv") for line in self._lines.get(key, ())]
        known = {entry.page or entry.header for entry in own}
        own += [entry for line in self._extra.get(key, ()) if (entry := _Line.read(line, "extra table")).page not in known or not entry.page]
        fixes = [_Line.read(line, "ddi_corrections.csv") for line in self._fixes.get(key, ())]
        return _merge(own, fixes)


@dataclass(frozen=True)
class _Line:
    """One parsed line of a table."""

    name: str
    aliases: tuple[str, ...]
    kind: str
    role: str
    header: str
    page: str
    row: DdiRow
    since: str
    deprecated_by: str
    effect: str
    contradiction: str
    raw: str
    reason: str

    @classmethod
    def read(cls, line: str, table: str) -> _Line:
        cells = next(csv.reader(io.StringIO(line)))
        value = dict(zip((*COLUMNS, "reason"), (cell.strip() for cell in cells), strict=False))
        name = value["name"]
        for end in ("min", "max"):
            if value.get(end) and value[end] not in LEVELS:
                raise KnowledgeError(f"{table}: {name}: '{value[end]}' is not an IRQL; use one of {', '.join(LEVELS)}")
        if value.get("source", "") not in SOURCES:
            raise KnowledgeError(f"{table}: {name}: source '{value.get('source')}' is not known; use one of {', '.join(SOURCES)}")
        when: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in value.get("when", "").split(";"))):
            fact, mark, wanted = part.partition("=")
            if not mark:
                raise KnowledgeError(f"{table}: {name}: when '{part}' is not `fact=value`; separate facts by '; '")
            when[fact.strip()] = wanted.strip()
        row = DdiRow(
            when=when, condition=value.get("condition") or None, min=value.get("min") or None, max=value.get("max") or None,
            source=value["source"], page=value.get("page", ""), section=value.get("section", ""), until=value.get("until") or None,
        )  # fmt: skip
        return cls(
            name=name, aliases=tuple(filter(None, value.get("aliases", "").split(";"))), kind=value.get("kind", ""),
            role=value.get("role", ""), header=value.get("header", ""), page=value.get("page", ""), row=row,
            since=value.get("since", ""), deprecated_by=value.get("deprecated_by", ""), effect=value.get("effect", ""),
            contradiction=value.get("contradiction", ""), raw=value.get("raw", ""), reason=value.get("reason", ""),
        )  # fmt: skip


def irql_text(ddi: Ddi) -> str:
    """
    A routine's facts for a reader of the terminal.

    Args:
        ddi: The routine.

    Returns:
        Lines of plain text: range, conditions with their sources, pages, contradictions.
    """
    who = "called by the driver" if ddi.role == "called_by_driver" else "implemented by the driver"
    lines = [f"{ddi.name}: {ddi.kind}, {who}"]
    lines.append("  IRQL: " + (describe(ddi.min, ddi.max) if ddi.max else "not stated in the documentation"))
    for row in ddi.rows:
        if row.max is None and row.min is None:
            continue
        where = row.page if row.source != "header" else "header annotation"
        lines.append(f"    {row.condition or 'always'}: {row.span}  [{row.source}; {where}{'#' + row.section if row.section and row.page else ''}]")
    lines += [f"    {row.condition or 'always'}, until {row.until}: {row.span}" for row in ddi.history]
    if ddi.raises == RESTORES:
        lines.append("  After the call: the caller's earlier IRQL is restored")
    elif ddi.raises:
        lines.append(f"  After the call: the code runs at {ddi.raises}")
    if ddi.since:
        lines.append(f"  Since: {ddi.since}")
    if ddi.deprecated_by:
        lines.append(f"  Deprecated; use {ddi.deprecated_by}")
    if ddi.aliases:
        lines.append(f"  Also: {', '.join(ddi.aliases)}")
    lines += [f"  Page: {page.url} ({page.header})" for page in ddi.pages if page.page]
    lines += [f"  Note: {text}" for text in ddi.notes]
    lines += [f"  Contradiction: {text}" for text in ddi.contradictions]
    return "\n".join(lines)


def not_found(table: DdiTable, name: str) -> dict[str, Any]:
    """The JSON record of a name that no routine has, with the nearest names (contract.md)."""
    return {
        "name": name, "found": False, "near": table.near(name), "kind": None, "pages": [], "rows": [], "role": None,
        "min": None, "max": None, "since": None, "deprecated_by": None, "contradictions": [],
    }  # fmt: skip


def irql_json(table: DdiTable, name: str) -> str:
    """One line of JSON for a name, found or not: what `kb irql NAME --json` prints."""
    ddi = table.find(name)
    return json.dumps(ddi.to_json() if ddi else not_found(table, name), ensure_ascii=False)


def contradictions_lines(table: DdiTable) -> list[str]:
    """
    Every contradiction the tables hold.

    Args:
        table: The table.

    Returns:
        Lines `name: both statements with their places; which one is used and why`, sorted.
    """
    found: list[str] = []
    for name in table.names():
        ddi = table.find(name)
        if ddi:
            found += [f"{ddi.name}: {text}" for text in ddi.contradictions]
    return sorted(found)


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


def _read_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise KnowledgeError(f"{path.name}: cannot be read ({error.strerror}); restore it from the repository") from error
    wanted = ",".join(COLUMNS)
    if lines[0].rstrip("\r") not in (wanted, wanted + ",reason"):
        raise KnowledgeError(f"{path.name}, line 1: the heading must be '{wanted}'; write the file anew with `python -m ingest --write-tables`")
    return [line for line in lines[1:] if line]


def _squash(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _merge(own: Sequence[_Line], fixes: Sequence[_Line]) -> Ddi:
    """Join the lines of one routine: corrections replace what pages say, header rows stay as the second witness."""
    every = [*own, *fixes]
    first = every[0]
    corrected = any(entry.row.max for entry in fixes)  # a correction without levels only adds an effect or a reason
    rows: list[DdiRow] = []
    history: list[DdiRow] = []
    for entry in every:
        row = entry.row
        if corrected and row.source in ("page", "remarks"):
            continue
        same = [(other.when, other.condition, other.min, other.max, other.source) for other in rows]
        if row.until:
            if row not in history:
                history.append(row)
        elif (row.when, row.condition, row.min, row.max, row.source) not in same and (row.max or row.min):
            rows.append(row)
    rows.sort(key=lambda row: (row.source == "header", bool(row.when or row.condition)))
    pages: dict[str, DdiPage] = {}
    for entry in own:
        if entry.page and entry.row.source != "header" and entry.page not in pages:
            pages[entry.page] = DdiPage(entry.page, page_url(entry.page), entry.header, entry.raw)
    if not pages:
        pages = {entry.header: DdiPage("", "", entry.header, "") for entry in own}
    role = next((entry.role for entry in (*fixes, *own) if entry.role), "called_by_driver")
    texts = [] if corrected else list(dict.fromkeys(entry.contradiction for entry in every if entry.contradiction))
    texts += _disagreements(own, rows, role, corrected)
    texts += [entry.reason.removeprefix("Contradiction: ") for entry in fixes if entry.reason.startswith("Contradiction: ")]
    return Ddi(
        name=first.name,
        aliases=tuple(sorted({alias for entry in every for alias in entry.aliases} - {first.name})),
        kind=first.kind or "function",
        role=role,
        pages=tuple(sorted(pages.values(), key=lambda page: (not page.raw, GENERAL.index(page.header) if page.header in GENERAL else len(GENERAL), page.page))),
        rows=tuple(rows),
        since=next((entry.since for entry in every if entry.since), None),
        deprecated_by=next((entry.deprecated_by for entry in (*fixes, *own) if entry.deprecated_by), None),
        contradictions=tuple(texts),
        raises=next((entry.effect for entry in (*fixes, *own) if entry.effect), None),
        history=tuple(history),
        notes=tuple(entry.reason for entry in fixes if entry.reason and not entry.reason.startswith("Contradiction: ")),
    )


def _disagreements(own: Sequence[_Line], rows: Sequence[DdiRow], role: str, fixed: bool) -> list[str]:
    """What page and page, or page and header, state differently about the same condition."""
    found: list[str] = []
    documented = [entry.row for entry in own if entry.row.source in ("page", "remarks") and entry.row.max and not entry.row.until]
    for at, row in enumerate(documented):
        for other in documented[at + 1 :]:
            if row.page != other.page and _case(row) == _case(other) and (row.min, row.max) != (other.min, other.max):
                text = f"{row.page} says {row.span}{_for(row)}, {other.page} says {other.span}; the wider range is told, both pages are shown"
                if text not in found:
                    found.append(text)
    told = [row for row in rows if row.source != "header"]
    for header_row in (row for row in rows if row.source == "header"):
        blanket = not header_row.when and not header_row.condition
        ends = sorted(_ends(told), key=rank)
        if blanket and ends and (ends[0], ends[-1]) == (header_row.min, header_row.max):
            continue  # the header tells the widest range only
        same = [row for row in told if _case(row) == _case(header_row)]
        widest = sorted(told, key=lambda row: -rank(row.max or LEVELS[0]))[:1]
        for page_row in same or [row for row in told if not row.when and not row.condition] or widest:
            if (page_row.min, page_row.max) == (header_row.min, header_row.max):
                continue
            kind = _stricter(page_row, header_row, role)
            if not same and kind != "stricter":
                continue  # a blanket level beside a finer one says nothing against it
            use = "the page's level is used"
            if kind == "stricter":
                use += ", and the case between the two is conditional"
            elif _lacks_sign(page_row, header_row, role):
                use = "the front matter lacks the sign, so the header's range is used"
            said = f"{page_row.page}#{page_row.section}" + (" (read by a person)" if fixed else "")
            found.append(f"{said} says {page_row.span}{_for(page_row)}, the header's annotation is {kind}: {header_row.span}{_for(header_row)}; {use}")
    return list(dict.fromkeys(found))


def _ends(rows: Sequence[DdiRow]) -> list[str]:
    return [level for row in rows for level in (row.min or LEVELS[0], row.max or LEVELS[-1])]


def _lacks_sign(page: DdiRow, header: DdiRow, role: str) -> bool:
    """Whether a page's bare `X` is the header's `<= X` or `>= X` with its sign left out, as 67 pages have it."""
    if role != "called_by_driver" or page.source != "page" or page.min != page.max or _case(page) != _case(header):
        return False
    at_most = header.max == page.max != LEVELS[0] and header.min == LEVELS[0]
    return at_most or (header.min == page.min != LEVELS[0] and header.max == LEVELS[-1])


def _case(row: DdiRow) -> tuple[Any, ...]:
    return (tuple(sorted(row.when.items())), row.condition if not row.when else None)


def _for(row: DdiRow) -> str:
    return f" ({row.condition})" if row.condition else ""


def _stricter(page: DdiRow, header: DdiRow, role: str) -> str:
    """How the header's range compares, for the role: `stricter`, `looser`, or `different`."""
    low, high = rank(header.min or LEVELS[0]) - rank(page.min or LEVELS[0]), rank(header.max or LEVELS[-1]) - rank(page.max or LEVELS[-1])
    if role == "implemented_by_driver":
        return "stricter" if high > 0 else "looser" if high < 0 or low else "different"
    if high <= 0 and low >= 0:
        return "stricter"
    return "looser" if high >= 0 and low <= 0 else "different"
