"""A Page in, Chunks of at most 256 model tokens out: cut at headings, then between blocks, never inside a token."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.pages import Page
from kb.embedding import MAX_TOKENS, Tokens, said
from kb.index import Chunk

CHUNKS_VERSION = 3  # in every page's digest: change it whenever the same Page would give other chunks, or `embedded` another text
ROOM = MAX_TOKENS - 2  # two tokens open and close the sequence
MAX_PREFIX = 72  # tokens of 'title > heading'; beyond, the outer headings and then the title are shortened
SHORTEST = 60  # characters that are left of each
_HEADER = re.compile(r"\s\([\w.-]+\.h\w*\)")  # ' (wdm.h)' in the title of a DDI page


def embedded(kind: str, section: str, title: str, heading: str, text: str) -> str:
    """
    What of a chunk is embedded: title and heading, then the text, without what is not `said`.

    A DDI page repeats itself: its title names a header, which no question is about and in which twins alone differ, and its
    requirements open with the sentence that describes the DDI. Without the one, and with that sentence for the other, a tenth
    of both official repositories' tokens need not be embedded. Searching by words sees the chunk whole.
    """
    if kind == "ddi":
        title = _HEADER.sub("", title)
        if section in ("description", "requirements"):
            heading = ""
        if section == "requirements":
            text = text.partition("\n")[0]
    return said(f"{title} {heading}\n{text}")


class Splitter:
    """Cuts pages with one tokenizer; several threads may share it."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def split(self, page: Page) -> list[Chunk]:
        """
        Cut a page.

        Args:
            page: From `ingest.pages` or `ingest.knowledge`.

        Returns:
            Its chunks in order. Each has its 'title > heading' prefix counted in, and an id made of page, section and number.
        """
        blocks = [block for section in page.sections for block in section.blocks]
        prefixes = [f"{page.title} > {section.heading}" if section.heading else page.title for section in page.sections]
        counted = self._tokens.count([*prefixes, *blocks])
        lengths = iter(counted[len(prefixes) :])
        chunks: list[Chunk] = []
        numbers: dict[str, int] = {}
        for section, used in zip(page.sections, counted, strict=False):
            title, heading = page.title, section.heading
            if used > MAX_PREFIX:
                title, heading, used = self._shorten(title, heading)
            for text in self._pack([(block, next(lengths)) for block in section.blocks], ROOM - used):
                number = numbers.get(section.slug, 0)
                numbers[section.slug] = number + 1
                chunks.append(
                    Chunk(
                        id=f"{page.id}#{section.slug}~{number:03}",
                        text=text,
                        title=title,
                        page=page.id,
                        section=section.slug,
                        heading=heading,
                        url=page.url + (f"#{section.anchor}" if section.anchor else ""),
                        kind=page.kind,
                        source=page.source,
                        names=page.names,
                        place=len(chunks),
                        parents=section.parents,
                    )
                )
        return chunks

    def _shorten(self, title: str, heading: str) -> tuple[str, str, int]:
        """Title and heading as they fit, and their tokens."""
        while True:
            used = self._tokens.count([f"{title} > {heading}" if heading else title])[0]
            if used <= MAX_PREFIX or len(title) + len(heading) <= 2 * SHORTEST:
                return title, heading, used
            if " > " in heading:
                heading = heading.partition(" > ")[2]
            elif len(heading) > SHORTEST:
                heading = heading[: max(SHORTEST, len(heading) * 2 // 3)].strip()
            else:
                title = title[: max(SHORTEST, len(title) * 2 // 3)].strip()

    def _pack(self, blocks: Sequence[tuple[str, int]], room: int) -> list[str]:
        """Join blocks as long as they fit; cut the ones that do not fit alone."""
        out: list[str] = []
        held: list[str] = []
        used = 0
        pieces = [piece for entry in blocks for piece in ([entry] if entry[1] <= room else self._cut(entry[0], room))]
        for block, length in pieces:
            if held and used + length > room:
                out.append("\n".join(held))
                held, used = [], 0
            held.append(block)
            used += length
        return [*out, "\n".join(held)] if held else out

    def _cut(self, block: str, room: int) -> list[tuple[str, int]]:
        """A long table between rows, long prose between sentences, anything else between words."""
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        long = RecursiveCharacterTextSplitter(
            separators=["\n", ". ", "; ", " ", ""], keep_separator="end", chunk_size=room, chunk_overlap=0, length_function=lambda text: self._tokens.count([text])[0]
        )
        pieces = long.split_text(block)
        return list(zip(pieces, self._tokens.count(pieces), strict=True))
