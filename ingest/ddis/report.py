"""Rows and counts in, docs/ddi-report.md out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ingest.ddis.levels import read_field
from ingest.ddis.table import Entry, Summary
from kb.ddis import Ddi, DdiTable, contradictions_lines, describe
from kb.terms import LEVELS, rank

KERNEL = ("wdm.h", "ntddk.h", "ntifs.h", "fltkernel.h", "ndis.h", "storport.h")
CLASSES = (
    "page says nothing", "agree", "agree, one side has more conditions", "page lacks a sign", "header stricter", "header looser", "different",
)  # fmt: skip


def write_report(entries: Sequence[Entry], summary: Summary, path: Path) -> None:
    """
    Write the report of an extraction.

    Args:
        entries: The lines of ddis.csv.
        summary: What happened.
        path: The Markdown file.
    """
    path.write_text("\n".join(report(entries, summary, DdiTable.load())) + "\n", encoding="utf-8", newline="\n")


def report(entries: Sequence[Entry], summary: Summary, table: DdiTable) -> Iterator[str]:
    """The report's lines: totals, headers, spellings, pages without rows, differences from the headers' annotations, contradictions."""
    records = [ddi for name in table.names() if (ddi := table.find(name))]
    clashes = contradictions_lines(table)
    stated = sum(1 for ddi in records if ddi.max)
    yield "# What the DDI table knows"
    yield ""
    yield "Written by `python -m ingest.ddis --write`; do not edit. Nothing is guessed: a page that states no level has none here."
    yield ""
    yield f"- {summary.pages:,} pages of {len(records):,} routines, {len(entries):,} rows; {sum(e.source == 'header' for e in entries):,} of them from header annotations"
    yield f"- {stated:,} routines with a level, {sum(1 for d in records if any(r.when or r.condition for r in d.rows)):,} with a condition"
    yield f"- {summary.states_nothing:,} pages state no level anywhere (most describe user-mode functions)"
    yield f"- {len(summary.spellings):,} spellings of `req.irql`, {len(summary.not_understood)} of them not understood (listed below)"
    yield f"- {len(summary.silent)} pages point at text that gave no row; each has a correction or a stated reason"
    yield f"- {len(clashes):,} contradictions (`python -m kb contradictions`)"
    bare, equal = _bare(entries)
    yield f"- {bare:,} pages whose field is one level or one comparison: the extracted range equals it in {equal:,}"
    yield ""
    yield "## By header"
    yield ""
    yield "Headers with at least ten levels known. Conditional: routines with a row that has a condition. Silent: pages that point elsewhere and gave no row."
    yield ""
    yield "| header | pages | levels known | conditional | silent | corrected by a person | contradicted |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    yield from _headers(records, summary)
    yield ""
    yield "## Spellings that are not understood"
    yield ""
    yield from (f"- `{_short(spelling)}` ({count})" for spelling, count in sorted(summary.not_understood.items()))
    yield ""
    yield "## Pages that point elsewhere and gave no row"
    yield ""
    yield from _silent(records, summary)
    yield ""
    yield "## Sentences about a level that gave no row"
    yield ""
    left = [page for page, _, _ in summary.unclear]
    yield f"{len(left)} sentences on {len(set(left))} pages name a level beside the routine and are not a statement this reader understands: most explain, restrict a callback or compare routines."
    yield ""
    yield "## Against the annotations of the headers"
    yield ""
    yield 'A condition is compared with the same condition, a level without one with the page\'s own. "Stricter" depends on the role: for a routine that the driver implements it is the higher maximum.'
    yield ""
    groups = _classes(records)
    yield "| class | routines |"
    yield "| --- | ---: |"
    yield from (f"| {name} | {len(groups[name]):,} |" for name in CLASSES)
    for name in CLASSES[3:]:
        yield ""
        yield f"### {name}"
        yield ""
        yield from sorted(groups[name], key=str.lower)


def _bare(entries: Iterable[Entry]) -> tuple[int, int]:
    spans: dict[str, set[object]] = defaultdict(set)
    raws: dict[str, str] = {}
    for entry in entries:
        if entry.source != "header":
            raws[entry.page] = entry.raw
            if not entry.when and not entry.condition:
                spans[entry.page].add(entry.span)
    bare = [page for page, raw in raws.items() if read_field(raw).bare]
    return len(bare), sum(1 for page in bare if read_field(raws[page]).span in spans[page])


def _headers(records: Sequence[Ddi], summary: Summary) -> Iterator[str]:
    silent = set(summary.silent)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for ddi in records:
        for page in ddi.pages:
            if not page.page:
                continue
            count = counts[page.header or "(none)"]
            count["pages"] += 1
            count["known"] += bool(ddi.max)
            count["conditional"] += any(row.when or row.condition for row in ddi.rows)
            count["silent"] += page.page in silent
            count["corrected"] += any(row.source == "correction" for row in ddi.rows) or bool(ddi.notes)
            count["contradicted"] += bool(ddi.contradictions)
    for header, count in sorted(counts.items(), key=lambda item: (item[0] not in KERNEL, not item[0].startswith("wdf"), -item[1]["known"], item[0])):
        if count["known"] >= 10:
            yield f"| {header} | " + " | ".join(f"{count[key]:,}" for key in ("pages", "known", "conditional", "silent", "corrected", "contradicted")) + " |"


def _silent(records: Sequence[Ddi], summary: Summary) -> Iterator[str]:
    owners = {page.page: ddi for ddi in records for page in ddi.pages}
    for page in sorted(summary.silent):
        ddi = owners[page]
        done = "; ".join(f"{row.condition or 'always'}: {row.span}" for row in ddi.rows if row.source == "correction")
        reason = " ".join(ddi.notes) or "read by a person"
        yield f"- `{ddi.name}` ({page}): {done or 'no level stated'}. {reason}"


def _classes(records: Sequence[Ddi]) -> dict[str, list[str]]:
    """Routines that have header rows, by how they compare with the documentation; each as a line."""
    groups: dict[str, list[str]] = {name: [] for name in CLASSES}
    for ddi in records:
        header = [row for row in ddi.rows if row.source == "header"]
        told = [row for row in ddi.rows if row.source != "header"]
        if not header:
            continue
        says = "; ".join(f"{row.condition or 'always'} {row.span}" for row in told)
        annotated = "; ".join(f"{row.condition or 'always'} {row.span}" for row in header)
        line = f"- `{ddi.name}`: page {says or 'nothing'}; header {annotated}"
        if not told:
            groups["page says nothing"].append(line)
            continue
        pages = {(tuple(sorted(row.when.items())), row.condition if not row.when else None): (row.min, row.max) for row in told}
        heads = {(tuple(sorted(row.when.items())), row.condition if not row.when else None): (row.min, row.max) for row in header}
        if pages == heads:
            groups["agree"].append(line)
        elif any("lacks the sign" in text for text in ddi.contradictions):
            groups["page lacks a sign"].append(line)
        elif _widest(pages.values()) == _widest(heads.values()):
            groups["agree, one side has more conditions"].append(line)
        elif any("annotation is stricter" in text for text in ddi.contradictions):
            groups["header stricter"].append(line)
        elif any("annotation is looser" in text for text in ddi.contradictions) or not ddi.contradictions:
            groups["header looser"].append(line)
        else:
            groups["different"].append(line)
    return groups


def _widest(spans: Iterable[tuple[str | None, str | None]]) -> str:
    spans = list(spans)
    low = min((rank(low or LEVELS[0]) for low, _ in spans), default=0)
    high = max((rank(high or LEVELS[-1]) for _, high in spans), default=0)
    return describe(LEVELS[low], LEVELS[high])


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57].rstrip() + "..."
