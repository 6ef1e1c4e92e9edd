"""Every generated page in, the files below docs/ out, or what is stale of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from kb.engine import Knowledge
from kb.reference.coverage import coverage_page, read_coverage
from kb.reference.decisions import decision_table
from kb.reference.rules import rule_index, rule_page
from kb.reference.tables import TABLE_PAGES, table_page

DOCS = Path(__file__).resolve().parents[2] / "docs"


def pages(knowledge: Knowledge) -> dict[str, str]:
    """
    Every generated page.

    Args:
        knowledge: Rules and tables.

    Returns:
        Text by path below docs/.

    Raises:
        KnowledgeError: coverage.yaml names something that does not exist.
    """
    found = {f"rules/{rule.id}.md": rule_page(rule) for rule in knowledge.rules}
    found["rules/index.md"] = rule_index(knowledge.rules)
    found["rules/decision-table.md"] = decision_table(knowledge)
    found |= {f"tables/{name}.md": table_page(name, knowledge.terms.tables[name].values()) for name in TABLE_PAGES}
    found["coverage.md"] = coverage_page(read_coverage(), knowledge)
    return found


def stale(written: Mapping[str, str], docs: Path = DOCS) -> list[str]:
    """
    Compare the pages with the files.

    Args:
        written: From `pages`.
        docs: The folder they belong to.

    Returns:
        A line for every file that is missing, differs, or belongs to no rule or table any more.
    """
    lines = []
    for name, text in written.items():
        path = docs / name
        if not path.is_file():
            lines.append(f"docs/{name}: missing")
        elif path.read_text(encoding="utf-8") != text:
            lines.append(f"docs/{name}: differs from what its source gives now")
    for path in sorted([*docs.glob("rules/*.md"), *docs.glob("tables/*.md")]):
        if path.relative_to(docs).as_posix() not in written:
            lines.append(f"docs/{path.relative_to(docs).as_posix()}: belongs to nothing any more")
    return lines


def write(written: Mapping[str, str], docs: Path = DOCS) -> int:
    """Write the pages that changed and remove those that belong to nothing; the number of files touched."""
    changed = 0
    for name, text in written.items():
        path = docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            changed += 1
    for line in stale(written, docs):
        (docs / re.sub(r"^docs/|: belongs.*$", "", line)).unlink()
        changed += 1
    return changed
