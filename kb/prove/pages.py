"""The official pages that the tables cite, where the corpus is present: table rows and paragraphs by page."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from types import ModuleType

from kb.engine import Knowledge
from kb.terms import Citation, Row


def corpus_reader() -> ModuleType | None:
    """`tests/corpus.py`, the reader of the official pages; None where the tests or the corpus are absent."""
    try:
        reader = importlib.import_module("tests.corpus")
    except ModuleNotFoundError:
        return None
    return reader if reader.available() else None


class Pages:
    """Some pages of the corpus, read once."""

    def __init__(self, reader: ModuleType, wanted: Iterable[str]) -> None:
        """
        Read the pages.

        Args:
            reader: `tests.corpus`.
            wanted: Page ids.
        """
        self.reader = reader
        self.raw: dict[str, str] = reader.read_pages({page.lower() for page in wanted if page})
        self._rows: dict[str, list[str]] = {}

    def rows(self, page: str) -> list[str]:
        """Table rows, list items and paragraphs of a page as a reader sees them; a table row is one text with all its cells."""
        page = page.lower()
        if page not in self._rows:
            raw = self.raw.get(page, "")
            parts = [part for table in re.split(r"(?=<tr)", raw) for part in (re.findall(r"<tr.*?</tr>", table, re.S) or re.split(r"\n\s*\n|\n(?=\s*[-*|>]|\d+[.:] )", table))]
            parts += re.split(r"\n\s*\n", raw)
            parts += re.findall(r"<p>.*?</p>", raw, re.S)
            self._rows[page] = [text for part in parts if (text := str(self.reader.plain(part)))]
        return self._rows[page]

    def fault(self, citation: Citation) -> str | None:
        """What is wrong with a citation, None when its terms stand together in its section of its page."""
        found = self.reader.check(citation, self.raw)
        return str(found) if found else None

    def parameters(self, page: str) -> list[str]:
        """The parameters of a routine in the order of its reference page."""
        return re.findall(r"^### -param (\w+)", self.raw.get(page.lower(), ""), re.M)


def citations_of(knowledge: Knowledge) -> list[tuple[str, Citation]]:
    """Every citation of the rules and of the rows of the tables, those of cases and subcodes among them, with where it stands."""
    found = [(f"rules/{rule.id}", citation) for rule in knowledge.rules for citation in rule.citations]
    for row in knowledge.terms.rows():
        where = f"{row.table}/{row.id}"
        found += [(where, citation) for citation in row.citations]
        for inner in (*(row.more.get("cases") or ()), *(row.more.get("subcodes") or ())):
            found += [(where, Citation.read(entry, where)) for entry in inner.get("citations") or ()]
    return found


def load_pages(knowledge: Knowledge) -> Pages | None:
    """
    Read every page that the knowledge cites.

    Args:
        knowledge: Rules and tables.

    Returns:
        The pages; None where the corpus is absent.
    """
    reader = corpus_reader()
    if reader is None:
        return None
    wanted = {citation.page for _, citation in citations_of(knowledge)}
    for entry in knowledge.terms.arguments:
        ddi = knowledge.ddis.find(str(entry["ddi"]))
        wanted |= {page.page for page in ddi.pages} if ddi is not None else set()
    return Pages(reader, wanted)


def cited_page(row: Row, start: str) -> str | None:
    """The first cited page whose id begins so."""
    return next((citation.page for citation in row.citations if citation.page.lower().startswith(start)), None)
