"""Markdown of a page in, a Page of clean sections out: what a reader of the published page sees, nothing else."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field

PAGES_VERSION = 2  # in every page's digest: change it whenever the same Markdown would give another Page

_FENCE = re.compile(r"^\s*(```+|~~~+)")
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_INCLUDE = re.compile(r"\[!INCLUDE\s*\[[^\]]*\]\(([^)]+)\)\]", re.I)
_CODE = re.compile(r"(`+)(.+?)\1")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--.*?-->", re.S)
_ROW_END = re.compile(r"</tr\s*>|<br\s*/?>|</?(?:p|li|dd|dt|div|ul|ol|dl|table|tbody|thead|h[1-6])(?:\s[^<>]*)?/?>", re.I)
_CELL_END = re.compile(r"</t[dh]\s*>\s*(?=<t[dh])", re.I)
_TABLE = re.compile(r"<table.*?</table\s*>", re.I | re.S)
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)|\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\)")
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
_NO_LOC = re.compile(r":::no-loc\s+text=\"([^\"]*)\"(?:\s[^:]*)?:::")
_COLONS = re.compile(r":::[a-z-]*[^\n]*?:::|^\s*:::.*$", re.M)
_ALERT = re.compile(r"^[ \t]*>[ \t]*\[!(\w+)\][ \t]*(?:\n[ \t]*>[ \t]*)?", re.M)
_BOLD = re.compile(r"(?<!\*)(\*{1,3})(?=\S)(.+?)(?<=\S)\1(?!\*)", re.S)
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!<>|&~$])")
_DDI_HEADING = re.compile(r"-(param|field|struct-fields|enum-fields|[a-z-]+)\b\s*(.*)")
_REQUIREMENTS = {  # front matter key -> words of the published requirements table
    "req.irql": "IRQL",
    "req.header": "Header",
    "req.include-header": "Include",
    "req.target-min-winverclnt": "Minimum supported client",
    "req.target-min-winversvr": "Minimum supported server",
    "req.kmdf-ver": "Minimum KMDF version",
    "req.umdf-ver": "Minimum UMDF version",
    "req.target-type": "Target platform",
    "req.max-support": "End of support",
    "req.lib": "Library",
    "req.dll": "DLL",
}
_DDI_TITLES = {"returns": "Return value", "see-also": "See also", "struct-fields": "Members", "enum-fields": "Constants"}


@dataclass
class Section:
    """What stands under one heading, without the sections below it."""

    slug: str
    """Anchor of the heading; empty for the introduction."""
    heading: str = ""
    """Titles of the headings above it and its own, joined by ' > '."""
    parents: tuple[str, ...] = ()
    """Slugs of the headings above, outermost first."""
    anchor: str = ""
    """The anchor in the public address: the slug, numbered when the page has several of the name."""
    blocks: list[str] = field(default_factory=list)
    """Paragraphs, lists, tables and code, in order."""


@dataclass
class Page:
    """One page, ready to be cut into chunks."""

    id: str
    title: str
    url: str
    kind: str
    source: str
    names: tuple[str, ...] = ()
    sections: list[Section] = field(default_factory=list)


def slug(heading: str) -> str:
    """The anchor that the documentation site gives a heading."""
    text = html.unescape(_LINK.sub(r"\1", _TAG.sub("", heading)))
    text = re.sub(r"[\\*`]", "", text).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def front_matter(raw: str) -> tuple[dict[str, list[str]], str]:
    """
    Split a page into its front matter and its body.

    Read by lines, not as YAML: the repositories hold thousands of values that are not valid YAML.

    Returns:
        Every key with its values (one, or the items of a list), and the body.
    """
    if not raw.startswith("---"):
        return {}, raw
    end = raw.find("\n---", 3)
    if end < 0:
        return {}, raw
    values: dict[str, list[str]] = {}
    key = ""
    for line in raw[3:end].splitlines():
        item = re.match(r"\s*-\s+(.*)", line)
        pair = re.match(r"([A-Za-z_][\w.\-]*)\s*:\s*(.*)", line)
        if pair:
            key, value = pair.groups()
            values[key] = [_unquote(part) for part in value.strip("[]").split('", "')] if value.startswith("[") else [_unquote(value)] if value.strip() else []
        elif item and key:
            values[key].append(_unquote(item.group(1)))
        elif key and line.strip() and values.get(key):
            values[key][-1] += " " + line.strip()
    return values, raw[raw.find("\n", end + 1) + 1 :] if raw.find("\n", end + 1) >= 0 else ""


def _unquote(value: str) -> str:
    return html.unescape(value.strip().strip("\"'").strip())


def clean(text: str) -> str:
    """Prose as a reader sees it: no tags, link targets, emphasis or escapes; code spans keep their backticks."""
    spans: list[str] = []

    def keep(match: re.Match[str]) -> str:
        spans.append(match.group(0))
        return f"\x00{len(spans) - 1}\x00"

    if "`" in text:
        text = _CODE.sub(keep, text)
    if ":::" in text:
        text = _COLONS.sub("", _NO_LOC.sub(r"\1", text))
    if "[" in text:
        text = _LINK.sub(r"\1", _IMAGE.sub("", text))
    if ">" in text:
        text = re.sub(r"^\s*>\s?", "", _ALERT.sub(lambda match: f"> {match.group(1).capitalize()}: ", text), flags=re.M)
        text = _TABLE.sub(lambda match: re.sub(r"\s*\n\s*", " ", re.sub(r"<(?:br\s*/?|/?p|/?li|/?ul)[^<>]*>", " ", match.group(0))), text)
        text = _TAG.sub("", _ROW_END.sub("\n", _CELL_END.sub(" | ", text)))
    text = html.unescape(text).replace("\xa0", " ")
    if "*" in text:
        text = _BOLD.sub(r"\2", _BOLD.sub(r"\2", text))
    if "\\" in text:
        text = _ESCAPE.sub(r"\1", text)
    text = re.sub(r" \|$", "", text, flags=re.M)
    text = re.sub("\x00(\\d+)\x00", lambda match: spans[int(match.group(1))], text)
    return "\n".join(line for line in (re.sub(r"[ \t]+", " ", line).strip() for line in text.splitlines()) if line)


def _rows(block: str) -> str:
    """A Markdown table without its rule and outer bars."""
    lines = [line for line in block.splitlines() if not re.fullmatch(r"[\s|:\-]+", line)]
    return "\n".join(line.strip().strip("|").strip() if line.strip().startswith("|") else line for line in lines)


def read_sections(body: str, title: str, ddi: bool = False) -> list[Section]:
    """
    Cut a body at its headings and clean each block.

    Args:
        body: Markdown without front matter.
        title: The page's title: a first heading that repeats it opens the introduction.
        ddi: Read the DDI repository's headings (`## -remarks`, `### -param Wait [in]`).

    Returns:
        Sections in order; the introduction first, with an empty slug.
    """
    current = Section("")
    sections = [current]
    above: dict[int, tuple[str, str]] = {}
    seen: dict[str, int] = {}
    block: list[str] = []
    fence = label = ""

    def flush() -> None:
        nonlocal label
        text = "\n".join(block)
        block.clear()
        if fence or _FENCE.match(text):
            text = "\n".join(line.rstrip() for line in text.splitlines())
        else:
            text = _rows(clean(text))
        if text.strip():
            current.blocks.append(f"{label}\n{text}" if label else text)
            label = ""

    for line in re.sub(r"<!--.*?-->", "", body, flags=re.S).splitlines():
        mark = _FENCE.match(line)
        if mark and (not fence or line.strip().startswith(fence)):
            if not fence:
                flush()
                fence = mark.group(1)
                block.append(line)
            else:
                block.append(line)
                flush()
                fence = ""
            continue
        heading = None if fence else _HEADING.match(line)
        if heading is None:
            if line.strip() or fence or any("<table" in kept.lower() for kept in block) and not any("</table" in kept.lower() for kept in block):
                block.append(line)
            else:
                flush()
            continue
        flush()
        depth, text = len(heading.group(1)), heading.group(2)
        special = _DDI_HEADING.match(text) if ddi else None
        if special and special.group(1) in ("param", "field"):
            label = clean(special.group(2))  # a parameter is a paragraph of the section `parameters`
            continue
        if special:
            text = _DDI_TITLES.get(special.group(1), special.group(1).replace("-", " ").capitalize())
            name = "members" if special.group(1) == "struct-fields" else "constants" if special.group(1) == "enum-fields" else special.group(1)
        else:
            text, name = " ".join(clean(text).replace("`", "").split()), slug(text)
        above = {level: value for level, value in above.items() if level < depth}
        if not name or (depth == 1 and not current.slug and len(sections) == 1 and not current.blocks):
            continue
        parents = [above[level] for level in sorted(above)]
        above[depth] = (name, text)
        count = seen.get(name, 0)
        seen[name] = count + 1
        current = Section(name, " > ".join([*(heading for _, heading in parents), text]), tuple(slug for slug, _ in parents), f"{name}-{count}" if count else name)
        sections.append(current)
    flush()
    return sections


def read_page(id: str, raw: str, url: str, kind: str, source: str, include: Callable[[str], str | None] | None = None) -> Page:
    """
    Read one Markdown page.

    Args:
        id: Page id.
        raw: The file's text.
        url: Public address without anchor.
        kind: page, ddi or team.
        source: Name of the source.
        include: Text of an included file by its relative path, None when it is missing.

    Returns:
        The page; a DDI page has its front matter as the section `requirements`.
    """
    front, body = front_matter(raw.replace("\r\n", "\n"))
    for _ in range(3):  # includes may nest
        body, count = _INCLUDE.subn(lambda match: front_matter((include(match.group(1)) if include else None) or "")[1], body)
        if not count:
            break
    first = re.search(r"^#\s+(.*?)\s*#*$", body, re.M)
    title = (front.get("title") or [""])[0] or (clean(first.group(1)).replace("`", "") if first else id.rpartition("/")[2])
    ddi = kind == "ddi"
    if first and not ddi:
        title = " ".join(clean(first.group(1)).replace("`", "").split()) or title
    sections = read_sections(body, title, ddi)
    names = tuple(dict.fromkeys(name for name in front.get("api_name", []) if re.fullmatch(r"\w+", name))) if ddi else title_names(title)
    description = clean(" ".join(front.get("description", [])))
    intro = sections[0]
    if ddi:
        card = _requirements(front, title, description)
        if card:
            sections.append(Section("requirements", "Requirements", (), "requirements", card))
        sections = [section for section in sections if section.slug != "see-also"]
    elif description and description not in " ".join(intro.blocks) and not description.lower().startswith(title.lower() + "."):
        intro.blocks.insert(0, description)
    return Page(id, title, url, kind, source, names, [section for section in sections if section.blocks])


def title_names(title: str) -> tuple[str, ...]:
    """The identifiers in a title: `IRP_MJ_READ`, `DpcForIsr`, and bug check codes without leading zeros, `0xd1`."""
    found = re.findall(r"\b0x[0-9A-Fa-f]+\b|\b[A-Z]\w*_\w+\b|\b[A-Z][a-z]+[A-Z]\w+\b", title)
    return tuple(dict.fromkeys(hex(int(name, 16)) if name.lower().startswith("0x") else name for name in found))


def _requirements(front: dict[str, list[str]], title: str, description: str) -> list[str]:
    """The front matter's facts as one paragraph, as the published page's requirements table has them."""
    rows = [f"{label}: {clean(' '.join(values))}." for key, label in _REQUIREMENTS.items() if (values := front.get(key)) and values[0]]
    return ["\n".join([*([description] if description else []), " ".join(row.replace("..", ".") for row in rows)])] if rows else []
