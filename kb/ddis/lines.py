"""A CSV file in, its checked lines out."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from kb.ddis.records import DdiRow
from kb.terms import LEVELS, KnowledgeError

COLUMNS = (
    "name", "aliases", "kind", "role", "header", "page", "when", "condition", "min", "max", "source", "section",
    "since", "until", "deprecated_by", "effect", "contradiction", "raw",
)  # fmt: skip
"""Columns of ddis.csv; ddi_corrections.csv adds `reason`."""
SOURCES = ("page", "remarks", "header", "correction")


def read_lines(path: Path) -> list[str]:
    """
    Read a table's lines, which are parsed when their routine is asked for.

    Args:
        path: A CSV file with the columns of `COLUMNS`.

    Returns:
        Its lines without the heading.

    Raises:
        KnowledgeError: The file is missing or its heading is not the documented one.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise KnowledgeError(f"{path.name}: cannot be read ({error.strerror}); restore it from the repository") from error
    wanted = ",".join(COLUMNS)
    if lines[0].rstrip("\r") not in (wanted, wanted + ",reason"):
        raise KnowledgeError(f"{path.name}, line 1: the heading must be '{wanted}'; write the file anew with `python -m ingest --write-tables`")
    return [line for line in lines[1:] if line]


@dataclass(frozen=True)
class Line:
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
    def read(cls, line: str, table: str) -> Line:
        """
        Parse and check one line.

        Args:
            line: As it stands in the file.
            table: The file's name, for messages.

        Returns:
            The line.

        Raises:
            KnowledgeError: A level, source or condition is not one.
        """
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
