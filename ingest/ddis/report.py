"""Rows and counts in, docs/ddi-report.md out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ingest.ddis.table import Entry, Summary


def write_report(entries: Sequence[Entry], summary: Summary, path: Path) -> None:
    """Write the report."""
    path.write_text("", encoding="utf-8")
