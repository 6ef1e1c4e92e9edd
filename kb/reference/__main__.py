"""Rules and tables in, docs/rules, docs/tables and docs/coverage.md out: python -m kb.reference [--check]."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from kb.engine import load_knowledge
from kb.reference.files import pages, stale, write
from kb.terms import KnowledgeError


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Write or check the pages.

    Args:
        arguments: As typed after `python -m kb.reference`; the process's own when None.

    Returns:
        0; 1 when `--check` finds a stale file or the knowledge is malformed.
    """
    parser = argparse.ArgumentParser(prog="python -m kb.reference", description="Writes docs/rules, docs/tables and docs/coverage.md from the knowledge.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    options = parser.parse_args(arguments)
    try:
        written = pages(load_knowledge())
    except KnowledgeError as error:
        sys.stderr.write(f"kb.reference: {' / '.join(str(error).splitlines())}\n")
        return 1
    if options.check:
        lines = stale(written)
        sys.stdout.write("".join(f"{line}\n" for line in lines) + (f"{len(lines)} stale; run python -m kb.reference\n" if lines else f"{len(written)} pages are up to date.\n"))
        return 1 if lines else 0
    sys.stdout.write(f"{len(written)} pages, {write(written)} changed.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
