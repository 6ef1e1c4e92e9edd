"""The command line of ingest: sources in, an index out, and a summary of what was done."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ingest.fetch import SourceError, find_sources
from ingest.lock import LockedError
from ingest.progress import Progress
from ingest.publish import PublishError, refresh
from ingest.summary import render
from ingest.tables import write_tables
from kb.embedding import EmbeddingError
from kb.index import IndexMissingError, default_folder
from kb.terms import KnowledgeError


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run `python -m ingest`.

    Args:
        arguments: Without the program's name; `sys.argv` when None.

    Returns:
        0, or 1 for a failure that was explained in one line on stderr. Wrong usage exits with 2.
    """
    parser = argparse.ArgumentParser(
        prog="python -m ingest",
        description="Build or refresh the passage index: the built-in knowledge, and every source added to it.",
        epilog="With no SOURCE, everything already in the index is refreshed. Unchanged files cost nothing.",
    )
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="a folder, a file, an archive, a git address, or a name from ingest/sources.yaml")
    parser.add_argument(
        "--folders", default="", metavar="A,B", help="take only these folders of the SOURCE: names, patterns or groups, for example kernel,wdf; '*' takes all again"
    )
    parser.add_argument("--remove", action="append", default=[], metavar="SOURCE", help="drop a source, by its name or place")
    parser.add_argument("--index", type=Path, default=None, metavar="FOLDER", help="the index folder (default: KB_INDEX, else index/ in the repository)")
    parser.add_argument("--write-tables", action="store_true", help="maintainers: write the DDI facts of the sources to kb/knowledge/ddis.csv")
    parser.add_argument("--only-sources", action="store_true", help="leave the built-in knowledge out (for measurements)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but failures")
    parser.add_argument("--json", action="store_true", help="print progress and summary as lines of JSON")
    chosen = parser.parse_args(arguments)
    folders = tuple(name.strip() for name in chosen.folders.split(",") if name.strip())
    if folders and not chosen.sources:
        parser.error("--folders narrows a SOURCE; name the source too")
    progress = Progress("json" if chosen.json else "quiet" if chosen.quiet else "bar")
    index = chosen.index or default_folder()
    try:
        add = [source for argument in chosen.sources for source in find_sources(argument, folders)]
        summary = refresh(index, add, chosen.remove, progress, not chosen.only_sources)
        progress.start("ddis")
        lines = write_tables(index, summary.all_sources, chosen.write_tables) if chosen.write_tables or summary.tables_stale else []
        progress.stop()
    except (SourceError, LockedError, PublishError, EmbeddingError, IndexMissingError, KnowledgeError) as error:
        progress.stop()
        print(f"ingest: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except (OSError, sqlite3.Error) as error:
        progress.stop()
        print(
            f"ingest: {index}: {getattr(error, 'strerror', None) or error}. The index was not changed; check the space and the rights of this folder, then run it again",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        progress.stop()
        print("ingest: interrupted. The index was not changed; what was embedded is kept for the next run", file=sys.stderr)
        return 1
    if chosen.json:
        print(json.dumps({"summary": asdict(summary), "ddis": lines}))
    elif not chosen.quiet:
        print(render(summary, lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
