"""What an ingest did, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest.fetch import Source

SHOWN = 10  # skipped files listed in the summary; --json lists all


@dataclass
class Summary:
    """What one ingest did."""

    changed: bool = False
    pages: int = 0
    chunks: int = 0
    embedded: int = 0
    files: int = 0
    files_changed: int = 0
    files_removed: int = 0
    skipped: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Sources that could not be read and whose pages were kept."""
    notices: list[str] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    generation: str = ""
    all_sources: list[Source] = field(default_factory=list)
    tables_stale: bool = False
    """Whether a source with DDI pages came, went or changed."""


def render(summary: Summary, more: Sequence[str] = ()) -> str:
    """The summary as text."""
    lines = [
        f"{'Indexed' if summary.changed else 'Nothing changed:'} {summary.pages} pages, {summary.chunks} chunks ({', '.join(f'{name} {count}' for name, count in summary.sources.items())})."
    ]
    if summary.changed:
        lines.append(f"Files: {summary.files} read, {summary.files_changed} new or changed, {summary.files_removed} gone. Chunks embedded: {summary.embedded}.")
    lines += [f"Notice: {text}" for text in [*summary.notices, *summary.kept]]
    if summary.skipped:
        lines += [f"Skipped {len(summary.skipped)} files:", *(f"  {text}" for text in summary.skipped[:SHOWN])]
        if len(summary.skipped) > SHOWN:
            lines.append(f"  ... and {len(summary.skipped) - SHOWN} more (--json lists all)")
    lines.append("Seconds: " + ", ".join(f"{stage} {seconds}" for stage, seconds in summary.seconds.items()) + ".")
    return "\n".join([*lines, *more])
