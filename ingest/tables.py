"""The DDI pages and the headers of a user's sources in, a table of DDI facts beside the index out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ingest import ddis
from ingest.convert import ConvertError, decode
from ingest.fetch import Source, SourceError, files, layouts
from ingest.headers import Annotated, read_header
from kb.terms import KNOWLEDGE

TABLE = "ddis.csv"


def write_tables(index: Path, sources: Sequence[Source], maintainers: bool = False) -> list[str]:
    """
    Extract the facts of every DDI page in *sources*.

    Args:
        index: The index folder; its ddis.csv is replaced, or removed when no source has DDI pages.
        sources: Every source of the index.
        maintainers: Write kb/knowledge/ddis.csv instead; it keeps the header annotations that it holds.

    Returns:
        A line for the summary, none when there was nothing to do.

    Raises:
        SourceError: A source is gone.
        OSError: The table cannot be written.
    """
    known = layouts()
    taken = [source for source in sources if source.layout in known and known[source.layout].kind == "ddi"]
    target = (KNOWLEDGE if maintainers else index) / TABLE
    try:
        annotated = ddis.annotations_in(KNOWLEDGE / TABLE) if maintainers else list(_annotations(sources))
        pages = list(_pages(taken))
    except SourceError as error:
        if maintainers:
            raise
        return [f"DDI facts: kept as they were; {error}"]
    if not taken and not annotated:
        if not maintainers:
            target.unlink(missing_ok=True)
        return []
    entries, summary = ddis.build(pages, annotated)
    part = target.with_suffix(".part")
    ddis.write_table(entries, part)
    os.replace(part, target)
    headers = f" and {len(annotated)} annotated declarations" if annotated else ""
    return [f"DDI facts: {len(entries)} rows of {summary.pages} pages{headers} in {target.name} ({'kb/knowledge' if maintainers else 'beside the index'})."]


def _annotations(sources: Sequence[Source]) -> Iterator[Annotated]:
    """What the C headers of a team's own sources annotate, each name once."""
    seen: set[str] = set()
    for source in sources:
        if source.layout:
            continue  # the official repositories hold no headers
        for file in files(source):
            if file.problem or not file.path.lower().endswith((".h", ".hpp")):
                continue
            try:
                text = decode(file.read())
            except (ConvertError, OSError):
                continue  # the summary names it already
            for found in read_header(text, file.path.rpartition("/")[2].lower()):
                if found.name not in seen:
                    seen.add(found.name)
                    yield found


def _pages(sources: Sequence[Source]) -> Iterator[ddis.Page]:
    for source in sources:
        for file in files(source):
            if not file.problem and re.match(r"n[fc]-", file.page.rpartition("/")[2]):
                try:
                    yield ddis.read_page(file.page, decode(file.read()))
                except (ConvertError, OSError):
                    continue  # the summary names it already
