"""Reference pages and header annotations in, the rows of ddis.csv out."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ingest.ddis.conditions import VALUES, Condition
from ingest.ddis.levels import APC, DISPATCH, PASSIVE, Span, read_field
from ingest.ddis.names import aliases, deprecated_by, friendly, role, since
from ingest.ddis.pages import Page, paragraphs
from ingest.ddis.remarks import Reader, Reading, Statement
from ingest.headers import Annotated
from kb.ddis import COLUMNS, describe
from kb.terms import rank

RAW = 60  # characters of `req.irql` kept: enough to recognize it, too little to be a sentence of the page

_LEVELS_IN = re.compile(r"IRQL|_LEVEL\b|[Aa]ny level|passive level|dispatch level")


@dataclass(frozen=True)
class Entry:
    """One line of ddis.csv."""

    name: str
    kind: str
    role: str
    header: str
    page: str
    when: Mapping[str, str] = field(default_factory=dict)
    condition: str = ""
    span: Span | None = None
    source: str = "page"
    section: str = ""
    aliases: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    deprecated_by: str = ""
    effect: str = ""
    contradiction: str = ""
    raw: str = ""

    def cells(self) -> list[str]:
        """The line's cells, in the order of `COLUMNS`."""
        low, high = self.span.names if self.span else ("", "")
        return [
            self.name, ";".join(self.aliases), self.kind, self.role, self.header, self.page,
            "; ".join(f"{fact}={value}" for fact, value in sorted(self.when.items())), self.condition, low, high,
            self.source, self.section, self.since, self.until, self.deprecated_by, self.effect, self.contradiction, self.raw,
        ]  # fmt: skip


@dataclass
class Summary:
    """What an extraction did, for the report."""

    pages: int = 0
    spellings: Counter[str] = field(default_factory=Counter)
    not_understood: Counter[str] = field(default_factory=Counter)
    unclear: list[tuple[str, str, str]] = field(default_factory=list)
    """Page, its `req.irql`, and a sentence about its level that gave no row."""
    silent: list[str] = field(default_factory=list)
    """Pages that point at their Remarks, from which no row could be read."""
    states_nothing: int = 0


def page_entries(page: Page, summary: Summary) -> list[Entry]:
    """
    The lines of one page.

    Args:
        page: A function, callback or macro page.
        summary: Counts are added to it.

    Returns:
        At least one line; its levels are empty when the page states nothing.
    """
    raw = page.front.get("req.irql", "")
    stated = read_field(raw)
    text = paragraphs(page.body)
    also = aliases(page)
    who = role(page, text)
    if _LEVELS_IN.search(page.body):
        reading = Reader(
            {page.name, page.name.rpartition("::")[2], *also, *(friendly(page) if page.kind == "callback" else ())}, page.kind == "callback" and who == "implemented_by_driver"
        ).read(text)
    else:
        reading = Reading((), (), "")  # three pages of four name no level in their text
    summary.pages += 1
    summary.spellings[raw] += 1
    if not stated.understood:
        summary.not_understood[raw] += 1
    summary.unclear += [(page.id, raw, sentence) for sentence in reading.unclear]
    common = Entry(
        name=page.name, kind=page.kind, role=who, header=page.header, page=page.id, aliases=also,
        since=since(page), deprecated_by=deprecated_by(page, text), effect=reading.effect, raw=_cut(raw),
    )  # fmt: skip
    rows = _rows(common, stated.span, stated.defers, stated.bare, stated.resident, reading)
    if not rows:
        if stated.defers or not stated.understood:
            summary.silent.append(page.id)
        else:
            summary.states_nothing += 1
        return [replace(common, section="requirements" if raw else "")]
    return rows


def _rows(common: Entry, front: Span | None, defers: bool, bare: bool, resident: bool, reading: Reading) -> list[Entry]:
    general = list(dict.fromkeys(s.span for s in reading.statements if s.condition is None))
    spoken = general[0] if len(general) == 1 else None
    base = spoken if defers and spoken else front or spoken
    clash = ""
    if front and spoken and front != spoken:
        clash = _clash(common, front, spoken, "", "the Remarks, to which the front matter points" if defers else "the front matter")
    used_remarks = base is not None and (front is None or (defers and base == spoken and base != front))
    rows: list[Entry] = []
    for statement in _cases(reading.statements, base):
        condition = statement.condition
        if condition is None:
            continue
        text = clash
        if front and not condition.until and (statement.span.high > front.high or (not defers and statement.span.high < front.high)):
            text = _clash(common, front, statement.span, condition.text, "the Remarks, whose condition is more specific")
        rows.append(replace(
            common, when=condition.when, condition=condition.text, span=statement.span, source="remarks", section=statement.section,
            until=condition.until, contradiction=text,
        ))  # fmt: skip
    if resident and base and not rows:
        condition = Condition({"memory.resident": "true"})
        return [replace(common, when=condition.when, condition=condition.text, span=base, section="requirements")]
    if base is not None and (bare or not _exhaustive(rows)):
        section = next((s.section for s in reading.statements if s.condition is None), "remarks") if used_remarks else "requirements"
        rows.insert(0, replace(common, span=base, source="remarks" if used_remarks else "page", section=section, contradiction=clash))
    return rows


def _cases(statements: Sequence[Statement], base: Span | None) -> list[Statement]:
    """Conditional statements, cut to what the page allows at all, with the opposite case where it follows."""
    cases = []
    for statement in statements:
        condition = statement.condition
        if condition is None:
            continue
        span = statement.span
        if base and condition.when.get("memory.resident") == "true" and span.high > base.high:
            span = base
        cases.append(replace(statement, span=span))
    known = [s.condition.when for s in cases if s.condition]
    for statement in list(cases):
        condition = statement.condition
        nonpaged = condition is not None and (condition.when == {"memory.pool": "nonpaged"} or condition.when == {"memory.resident": "true"})
        other = condition.opposite() if condition and nonpaged else None
        if other and other.when not in known and statement.span.high >= DISPATCH:
            words = f"{other.text} (follows: it cannot be touched at DISPATCH_LEVEL)"
            cases.append(replace(statement, span=Span(PASSIVE, APC), condition=Condition(other.when, words)))
        if condition and condition.when == {"execution.level": "dispatch"} and {"execution.level": "passive"} not in known:
            passive = Condition({"execution.level": "passive"}, "passive execution level (the framework then calls it at PASSIVE_LEVEL)")
            cases.append(replace(statement, span=Span(PASSIVE, PASSIVE), condition=passive))
    best: dict[tuple[object, ...], Statement] = {}
    for statement in cases:
        condition = statement.condition
        if condition is None:
            continue
        key = (tuple(sorted(condition.when.items())), "" if condition.when else condition.words, condition.until)
        if key not in best or statement.section == "remarks" != best[key].section:
            best[key] = statement
    return list(best.values())


def _exhaustive(rows: Iterable[Entry]) -> bool:
    seen: dict[str, set[str]] = {}
    for row in rows:
        if len(row.when) == 1:
            ((fact, value),) = row.when.items()
            seen.setdefault(fact, set()).add(value)
    return any(values >= set(VALUES[fact]) for fact, values in seen.items() if fact in VALUES)


def _clash(entry: Entry, front: Span, spoken: Span, condition: str, used: str) -> str:
    case = f" when {condition}" if condition else ""
    return f"{entry.page}#requirements says {describe(*front.names)}, {entry.page}#remarks says {describe(*spoken.names)}{case}; used: {used}"


def _cut(raw: str) -> str:
    raw = " ".join(raw.split())
    return raw if len(raw) <= RAW else raw[: RAW - 3].rstrip() + "..."


def header_entries(annotated: Iterable[Annotated], roles: Mapping[str, tuple[str, str]]) -> list[Entry]:
    """
    The lines of header annotations.

    Args:
        annotated: From the headers or from sal.csv.
        roles: (role, kind) by lower-case name, from the pages; a name without a page gets them from its kind.

    Returns:
        One line a routine and condition.
    """
    out = []
    for routine in annotated:
        role_, kind = roles.get(routine.name.lower(), ("implemented_by_driver" if routine.kind == "callback" else "called_by_driver", routine.kind))
        nothing: list[tuple[Condition, Span | None]] = [(Condition(), None)]  # only an effect is annotated
        for condition, span in routine.cases or nothing:
            out.append(Entry(
                name=routine.name, kind=kind, role=role_, header=routine.header, page="", when=condition.when, condition=condition.text,
                span=span, source="header", section="annotation", effect=routine.effect,
            ))  # fmt: skip
    return out


def annotations_in(table: Path) -> list[Annotated]:
    """
    The header annotations that a table holds, so that it can be built anew where sal.csv is not at hand.

    Args:
        table: A ddis.csv.

    Returns:
        One record a routine; none when there is no such file.
    """
    found: dict[str, Annotated] = {}
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            if line["source"] != "header":
                continue
            when = dict(part.split("=", 1) for part in line["when"].split("; ") if part)
            words = line["condition"] if line["condition"] != Condition(when).text else ""
            cases = ((Condition(when, words), Span(rank(line["min"]), rank(line["max"]))),) if line["max"] else ()
            known = found.get(line["name"])
            kind = line["kind"] if line["kind"] != "macro" else "function"
            found[line["name"]] = Annotated(line["name"], kind, line["header"], (*(known.cases if known else ()), *cases), line["effect"])
    return list(found.values())


def build(pages: Iterable[Page], annotated: Iterable[Annotated]) -> tuple[list[Entry], Summary]:
    """
    Every line of ddis.csv.

    Args:
        pages: The reference pages.
        annotated: Header annotations.

    Returns:
        The lines, sorted, and what happened.
    """
    summary = Summary()
    entries: list[Entry] = []
    roles: dict[str, tuple[str, str]] = {}
    for page in pages:
        for entry in page_entries(page, summary):
            entries.append(entry)
            roles.setdefault(entry.name.lower(), (entry.role, entry.kind))
    annotated = list(annotated)
    effects = {routine.name.lower(): routine.effect for routine in annotated if routine.effect}
    entries = [replace(entry, role=roles[entry.name.lower()][0], effect=entry.effect or effects.get(entry.name.lower(), "")) for entry in entries]
    entries += header_entries(annotated, roles)
    spelled = {entry.name.lower(): entry.name for entry in reversed(entries)}
    entries = [replace(entry, name=spelled[entry.name.lower()]) for entry in entries]
    return sorted(entries, key=_order), summary


def _order(entry: Entry) -> tuple[object, ...]:
    return (entry.name.lower(), entry.name, entry.source == "header", entry.page, bool(entry.when or entry.condition), *entry.cells())


def to_csv(entries: Iterable[Entry]) -> str:
    """
    The text of ddis.csv; names and aliases never need quotes, so that a reader can find a line by its start.

    Args:
        entries: Sorted lines.

    Returns:
        The file's text.

    Raises:
        ValueError: A name or alias holds a comma or quote.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in entries:
        cells = entry.cells()
        if any(mark in cells[0] + cells[1] for mark in ',"\n'):
            raise ValueError(f"{entry.page}: name or alias '{cells[0]}', '{cells[1]}' holds a comma or quote; clean it in ingest/ddis/names.py")
        writer.writerow([" ".join(cell.split()) for cell in cells])
    return out.getvalue()


def write_table(entries: Iterable[Entry], path: Path) -> None:
    """Write ddis.csv (or a user's own table) with Unix line ends everywhere."""
    path.write_text(to_csv(entries), encoding="utf-8", newline="\n")
