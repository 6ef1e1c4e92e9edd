"""A corpus folder or its archives in, the reference pages of functions, callbacks and macros out."""

from __future__ import annotations

import html
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "wdk-ddi-src/content/"
_PAGE = re.compile(r"n[fc]-[^/]*\.md", re.IGNORECASE)


@dataclass(frozen=True)
class Paragraph:
    """A paragraph, list item or table row as a reader sees it."""

    section: str
    """remarks, parameters, description, returns, or the slug of another heading."""
    text: str
    heading: str = ""
    """The nearest heading's own text, for a parameter its name."""
    item: bool = False
    """Whether it is a list item."""


@dataclass(frozen=True)
class Page:
    """One reference page."""

    id: str
    front: dict[str, str]
    lists: dict[str, list[str]]
    """The front matter's lists, such as `api_name`."""
    body: str = field(repr=False)

    @property
    def uid(self) -> str:
        """`NF:wdm.X`, `NC:wdm.X`."""
        return self.front.get("UID", "")

    @property
    def name(self) -> str:
        """The routine's name as the UID gives it, with the spelling of `api_name` where only the case differs."""
        name = self.uid.partition(".")[2] or self.id.rpartition("/")[2]
        name = re.sub(r"\(.*|~r\d+$", "", name).strip()
        if ".operator" in name:
            return name
        return name.replace(".", "::")

    @property
    def header(self) -> str:
        """The header the page belongs to."""
        return self.front.get("req.header", "").strip().lower()

    @property
    def kind(self) -> str:
        """function, callback or macro."""
        if self.uid.startswith("NC:"):
            return "callback"
        title = self.front.get("title", "")
        return "macro" if re.search(r"\bmacro\b", title) else "function"


def read_page(page_id: str, raw: str) -> Page:
    """
    Split a page into front matter and body.

    Args:
        page_id: Such as `ddi/wdm/nf-wdm-x`.
        raw: The Markdown.

    Returns:
        The page.
    """
    front: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    body = raw
    if raw.startswith("---"):
        end = raw.find("\n---", 3)
        body = raw[end + 4 :]
        key = ""
        for line in raw[3:end].splitlines():
            item = re.match(r"\s+- (.*)", line)
            if item:
                lists.setdefault(key, []).append(item[1].strip())
                continue
            match = re.match(r"([\w.\-]+):\s*(.*)", line)
            if match:
                key = match[1]
                front[key] = match[2].strip()
            elif key and line.strip():
                front[key] = f"{front[key]} {line.strip()}".strip()
    return Page(page_id, front, lists, body)


def read_corpus(source: Path) -> Iterator[Page]:
    """
    Every function, callback and macro page of a folder or of archives, sorted by page id.

    Args:
        source: A clone or unpacked copy of windows-driver-docs-ddi (or a folder above it), or a folder with its
            `.tar.xz`, or one archive.

    Yields:
        The pages.

    Raises:
        FileNotFoundError: There are no reference pages there; the message says what was looked for.
    """
    archives = [source] if source.is_file() else sorted(source.glob("*.tar.*"))
    found: list[tuple[str, str]] = []
    for archive in archives:
        with tarfile.open(archive) as tar:
            for member in tar:
                page_id = _page_id(member.name)
                stream = tar.extractfile(member) if page_id else None
                if page_id and stream is not None:
                    found.append((page_id, stream.read().decode("utf-8-sig", errors="replace")))
    if not archives:
        content = next((path for path in _content_folders(source)), None)
        for path in sorted(content.glob("*/n[fc]-*.md")) if content else []:
            page_id = _page_id(PREFIX + path.relative_to(content or source).as_posix())
            if page_id:
                found.append((page_id, path.read_text(encoding="utf-8-sig", errors="replace")))
    if not found:
        raise FileNotFoundError(f"{source}: no pages under {PREFIX} here; give a clone or archive of windows-driver-docs-ddi")
    for page_id, raw in sorted(found):
        yield read_page(page_id, raw)


def _content_folders(source: Path) -> Iterator[Path]:
    for depth in range(5):
        yield from sorted(source.glob("*/" * depth + "wdk-ddi-src/content"))
    if source.name == "content":
        yield source


def _page_id(member: str) -> str | None:
    at = member.find(PREFIX)
    if at < 0 or not _PAGE.fullmatch(member.rpartition("/")[2]):
        return None
    return "ddi/" + member[at + len(PREFIX) : -3].lower()


def plain(text: str) -> str:
    """Markdown or HTML as a reader sees it: no link targets, tags or emphasis; single blanks."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"</?[a-zA-Z][^>]*>", " ", text)
    text = html.unescape(text).replace("\u00a0", " ")
    text = re.sub(r"[*`\\]", "", text)
    text = re.sub(r"(?<!\w)_(\w+?)_(?!\w)", r"\1", text)
    text = " ".join(text.split())
    return re.sub(r"\s+([.,;:)])", r"\1", text)


_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*$")
_DDI = re.compile(r"-(param|field|description|parameters|returns|remarks|see-also|syntax)\b\s*(.*)")


def paragraphs(body: str) -> list[Paragraph]:
    """
    Split a page's body into paragraphs, list items and table rows; code is left out.

    Args:
        body: The Markdown below the front matter.

    Returns:
        The paragraphs in order.
    """
    out: list[Paragraph] = []
    section = heading = ""
    block: list[str] = []
    fenced = item = False

    def flush() -> None:
        nonlocal item
        text = plain(" ".join(block))
        if text:
            out.append(Paragraph(section, text, heading, item))
        block.clear()
        item = False

    body = re.sub(r"<pre\b.*?</pre>|<!--.*?-->", "", body, flags=re.DOTALL | re.IGNORECASE)
    body = re.sub(r"(?i)(<(?:p|li|tr|td|th|dt|dd|div|table|ul|ol)\b[^>]*>)", r"\n\1", body)
    for line in body.splitlines():
        if line.lstrip("> ").startswith("```"):
            fenced = not fenced
            flush()
            continue
        if fenced:
            continue
        match = _HEADING.match(line)
        if match:
            flush()
            ddi = _DDI.match(match[1])
            heading = plain(match[1])
            if ddi:
                section = "parameters" if ddi[1] == "param" else ddi[1]
                heading = re.sub(r"\s*\[.*", "", plain(ddi[2])) if ddi[1] == "param" else ""
        elif not line.strip():
            flush()
        elif re.match(r"\s*(?:[-*+]|\d+[.)])\s+|\s*\||\s*<(?:tr|li|p|dt|dd|td|div)\b", line, re.IGNORECASE):
            flush()
            item = bool(re.match(r"\s*(?:[-*+]|\d+[.)])\s|\s*<li", line, re.IGNORECASE))
            block.append(re.sub(r"^\s*(?:[-*+]|\d+[.)])\s+", "", line))
        else:
            block.append(line.lstrip("> "))
    flush()
    return out


def sentences(text: str) -> list[str]:
    """Split a paragraph into sentences; a colon or semicolon ends one too where a capital follows."""
    text = text.replace("e.g. ", "for example ").replace("i.e. ", "that is, ")
    return [part.strip() for part in re.split(r"(?<=[.!?])\)?\s+(?=[A-Z(_*\[])|(?<=[:;])\s+(?=[A-Z])", text) if part.strip()]
