"""Command line: `python -m ingest.ddis --corpus FOLDER_OR_ARCHIVES --sal CSV --write` regenerates the DDI table and its report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ingest.ddis.pages import read_corpus
from ingest.ddis.table import annotations_in, build, to_csv, write_table
from ingest.headers import read_sal
from kb.terms import KNOWLEDGE

REPORT = Path(__file__).resolve().parents[2] / "docs" / "ddi-report.md"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 for success, 1 for a failure told in one line, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m ingest.ddis", description="Extract the DDI facts from the reference pages.")
    parser.add_argument("--corpus", type=Path, required=True, help="a clone of windows-driver-docs-ddi, or a folder with its .tar.xz")
    parser.add_argument("--sal", type=Path, help="CSV of header annotations; without it those of the present ddis.csv are kept")
    parser.add_argument("--write", action="store_true", help="write kb/knowledge/ddis.csv and docs/ddi-report.md; else only compare")
    options = parser.parse_args(arguments)
    try:
        entries, summary = build(read_corpus(options.corpus), read_sal(options.sal) if options.sal else annotations_in(KNOWLEDGE / "ddis.csv"))
    except (OSError, ValueError) as error:
        print(f"python -m ingest.ddis: {error}", file=sys.stderr)
        return 1
    print(f"{summary.pages} pages, {len(entries)} rows, {len(summary.spellings)} spellings of req.irql, {len(summary.not_understood)} not understood")
    path = KNOWLEDGE / "ddis.csv"
    if not options.write:
        same = path.is_file() and path.read_text(encoding="utf-8") == to_csv(entries)
        print("ddis.csv is up to date" if same else "ddis.csv differs; write it with --write")
        return 0 if same else 1
    write_table(entries, path)
    from ingest.ddis.report import write_report

    write_report(entries, summary, REPORT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
