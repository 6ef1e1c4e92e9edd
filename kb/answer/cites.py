"""Citations in, numbers out: every source is numbered once, by code, in the order in which it is first used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from kb.answer.record import Cited
from kb.retriever import Passage
from kb.terms import Citation


class PassageSource(Protocol):
    """Finds the paragraph of an ingested page that a citation rests on."""

    def passage(self, page: str, section: str | None, terms: Sequence[str]) -> Passage | None:
        """The paragraph, or None when the page is not ingested."""
        ...


def page_title(page: str, url: str, names: Mapping[str, str]) -> str:
    """A readable name for a page that is not ingested, from its id; *names* spells a routine by its name in lower case."""
    if not page:
        return url.removeprefix("https://").removeprefix("www.")
    last = page.rsplit("/", 1)[-1]
    for prefix in ("nf-", "nc-", "ns-", "ne-"):
        if page.startswith("ddi/") and last.startswith(prefix):
            name = last.split("-", 2)[-1]
            return f"{names.get(name, name.strip('_').upper() if '_' in name else name)} ({page.split('/')[1]}.h)"
    words = last.replace("--", ": ").replace("-", " ").strip().split()
    return " ".join(ACRONYMS.get(word, word.capitalize() if number == 0 else word) for number, word in enumerate(words))


ACRONYMS = {
    word.lower(): word
    for word in ("DPC", "DPCs", "ISR", "IRQL", "IRQLs", "IRP", "IRPs", "MDL", "MDLs", "DMA", "WDF", "KMDF", "APC", "APCs", "NX", "HVCI", "PnP", "DispatchPnP", "ExAllocatePool", "IoCompletion", "IO", "SDV", "NDIS", "WFP")
}


class Cites:
    """Numbers sources."""

    def __init__(self, source: PassageSource | None = None, names: Mapping[str, str] | None = None) -> None:
        """Number from 1; *source* shows the pages' own paragraphs where they are ingested, *names* spells routines."""
        self._source = source
        self._names = names or {}
        self._numbers: dict[tuple[str, str], int] = {}
        self.cited: list[Cited] = []

    def number(self, citation: Citation, kind: str = "page") -> int:
        """
        The number of a citation, the same for the same section of the same page.

        Args:
            citation: What is cited.
            kind: `page`, `ddi`, `article`, `rule` or `team`.

        Returns:
            The number to write as `[n]`.
        """
        key = (citation.page or citation.url, citation.section or "")
        if key in self._numbers:
            return self._numbers[key]
        found = self._source.passage(citation.page, citation.section, citation.terms) if self._source is not None and citation.page else None
        number = len(self.cited) + 1
        self._numbers[key] = number
        self.cited.append(
            Cited(
                n=number,
                kind="ddi" if citation.page.startswith("ddi/") and kind == "page" else kind,
                title=found.title if found is not None else page_title(citation.page, citation.url, self._names),
                url=citation.url,
                section=citation.section or "",
                text=found.text if found is not None else citation.says,
                terms=citation.terms,
                outside=citation.outside,
                ours=found is None,
            )
        )
        return number

    def marks(self, citations: Iterable[Citation], limit: int = 3) -> str:
        """The marks of several citations, such as ` [1] [3]`, each number once; empty without citations."""
        numbers = dict.fromkeys(self.number(citation) for citation in list(citations)[:limit])
        return "".join(f" [{number}]" for number in sorted(numbers))

    def numbers(self, citations: Iterable[Citation], limit: int = 3) -> list[int]:
        """The numbers of several citations, rising."""
        return sorted({self.number(citation) for citation in list(citations)[:limit]})

    def passage(self, passage: Passage) -> int:
        """The number of a retrieved passage."""
        key = (passage.page, passage.section)
        if key not in self._numbers:
            self._numbers[key] = len(self.cited) + 1
            kind = {"article": "article", "rule": "rule", "table": "rule", "ddi": "ddi", "team": "team"}.get(passage.kind, "page")
            self.cited.append(Cited(len(self.cited) + 1, kind, passage.title, passage.url, passage.section, passage.text, ours=kind in ("article", "rule")))
        return self._numbers[key]
