"""The official pages under ../shared/corpus, read for checking citations: a page id in, its sections' paragraphs out."""

from __future__ import annotations

import html
import os
import re
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

from kb.terms import Citation

ROOT = Path(__file__).resolve().parent.parent
ARCHIVES = ROOT.parent / "shared" / "corpus"
PREFIXES = ("windows-driver-docs-pr/", "wdk-ddi-src/content/")


def available() -> bool:
    """Whether the archives (or an unpacked copy named by KB_CORPUS) are here."""
    return bool(os.environ.get("KB_CORPUS")) or ARCHIVES.is_dir()


def page_id(member: str) -> str | None:
    """Page id of an archive member's path, None for what is not a page."""
    for prefix in PREFIXES:
        at = member.find(prefix)
        if at >= 0 and member.endswith(".md"):
            inner = member[at + len(prefix) : -3].lower()
            return inner if prefix.startswith("windows") else f"ddi/{inner}"
    return None


def read_pages(wanted: Iterable[str]) -> dict[str, str]:
    """Raw Markdown of the wanted pages that exist, by page id."""
    wanted = set(wanted)
    found: dict[str, str] = {}
    unpacked = os.environ.get("KB_CORPUS")
    if unpacked:
        for page in wanted:
            inner = ("windows-driver-docs-ddi/windows-driver-docs-ddi/wdk-ddi-src/content/" + page[4:]) if page.startswith("ddi/") else ("windows-driver-docs/windows-driver-docs/windows-driver-docs-pr/" + page)
            path = Path(unpacked) / (inner + ".md")
            if path.is_file():
                found[page] = path.read_text(encoding="utf-8-sig", errors="replace")
        return found
    for archive in sorted(ARCHIVES.glob("*.tar.xz")):
        with tarfile.open(archive) as tar:
            for member in tar:
                page = page_id(member.name)
                if page in wanted:
                    stream = tar.extractfile(member)
                    assert stream is not None
                    found[page] = stream.read().decode("utf-8-sig", errors="replace")
    return found


def slug(heading: str) -> str:
    """The anchor that the documentation site gives a heading: lower case, punctuation dropped, blanks to hyphens."""
    text = re.sub(r"<[^>]+>", "", heading)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("\\", "").replace("*", "").replace("`", "")
    text = html.unescape(text).strip().lower()
    text = re.sub(r"[^\w\- ]", "", text)
    return text.replace(" ", "-")


def plain(text: str) -> str:
    """Text as a reader sees it: no link targets, tags, emphasis or escapes; lower case; single blanks."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"<[^>]+>", " ", html.unescape(text).replace("<=", "≤").replace(">=", "≥").replace("< ", "‹ "))
    text = re.sub(r"[*`\\]", "", text).replace("≤", "<=").replace("≥", ">=").replace("‹", "<")
    return " ".join(text.split()).lower()


def sections(raw: str) -> dict[str, list[str]]:
    """Paragraphs, list items and table rows by section slug; '' is the introduction, 'requirements' the front matter's req.* values."""
    out: dict[str, list[str]] = {"": []}
    body, front = raw, ""
    if raw.startswith("---"):
        end = raw.find("\n---", 3)
        front, body = raw[3:end], raw[end + 4 :]
    rows = [line for line in front.splitlines() if line.startswith("req.") and line.split(":", 1)[1].strip()]
    if rows:
        out["requirements"] = [plain(" ".join(row.split(":", 1)[1] + " " + row.split(":", 1)[0] for row in rows))]
    description = re.search(r"^description:(.*)$", front, re.M)
    if description:
        out[""].append(plain(description.group(1)))
    current, block, parents = "", [], {}
    fenced = False

    def flush() -> None:
        if block:
            text = plain(" ".join(block))
            if text:
                for name in {current, *parents.values()}:
                    out.setdefault(name, []).append(text)
            block.clear()

    for line in body.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        heading = None if fenced else re.match(r"(#{1,6})\s+(.*?)\s*#*$", line)
        if heading:
            flush()
            depth, title = len(heading.group(1)), heading.group(2)
            ddi = re.match(r"-(param|field|description|parameters|returns|remarks|see-also|enum-fields|struct-fields|syntax)\b", title)
            name = ("parameters" if ddi.group(1) == "param" else "members" if "field" in ddi.group(1) else ddi.group(1)) if ddi else slug(title)
            parents = {level: parent for level, parent in parents.items() if level < depth}
            if depth == 1:
                parents, current = {}, ""
                out.setdefault(name, []).append(plain(title))
                parents[1] = ""
            else:
                current = name
                parents[depth] = name
                out.setdefault(name, []).append(plain(title))
        elif not line.strip():
            flush()
        elif re.match(r"\s*([-*+]|\d+\.)\s+|\s*\||\s*<tr|\s*<li|\s*<p|\s*<dt|\s*<dd", line) and not fenced:
            flush()
            block.append(line)
        else:
            block.append(line)
    flush()
    if "members" in out:  # the site heads an enumeration's members "Constants"; either slug is understood
        out["constants"] = out["members"]
    return out


def check(citation: Citation, pages: dict[str, str]) -> str | None:
    """What is wrong with a citation, None when its terms stand together in its section of its page."""
    raw = pages.get(citation.page.lower())
    if raw is None:
        return f"page {citation.page} is not in the corpus"
    found = sections(raw)
    section = citation.section or ""
    if section not in found:
        # a page's own title slug means its introduction
        titles = re.findall(r"^#\s+(.*)$", raw, re.M)
        if titles and slug(titles[0]) == section:
            section = ""
        else:
            return f"{citation.page} has no section '{section}'; it has {sorted(found)[:30]}"
    for paragraph in found[section]:
        if all(plain(term) in paragraph for term in citation.terms):
            return None
    missing = [term for term in citation.terms if not any(plain(term) in paragraph for paragraph in found[section])]
    return f"{citation.page}#{section}: terms {list(citation.terms)} do not stand in one paragraph" + (f"; nowhere in it: {missing}" if missing else "")


def citations_in(value: object, where: str) -> list[tuple[str, Citation]]:
    """Every citation inside a parsed YAML value, with where it stands."""
    found: list[tuple[str, Citation]] = []
    if isinstance(value, dict):
        here = f"{where}/{value['id']}" if "id" in value else where
        for key, inner in value.items():
            if key in ("citations", "sources") and isinstance(inner, list):
                found += [(here, Citation.read(entry, here)) for entry in inner]
            else:
                found += citations_in(inner, here)
    elif isinstance(value, list):
        for inner in value:
            found += citations_in(inner, where)
    return found


def main(paths: list[str]) -> int:
    """Check every citation in the given YAML files or articles; one line a fault."""
    import yaml

    from kb.terms import read_yaml

    cited: list[tuple[str, Citation]] = []
    for name in paths:
        path = Path(name)
        if path.suffix == ".md":
            front = path.read_text(encoding="utf-8").split("---", 2)[1]
            cited += citations_in(yaml.safe_load(front), path.name)
        else:
            cited += citations_in(read_yaml(path), path.name)
    pages = read_pages({citation.page.lower() for _, citation in cited if citation.page})
    faults = [f"{where}: {fault}" for where, citation in cited if citation.page and (fault := check(citation, pages))]
    faults += [f"{where}: {citation.page}: no terms" for where, citation in cited if citation.page and not citation.terms]
    print("\n".join(faults))
    print(f"{len(cited)} citations, {len(faults)} faults, {sum(c.outside for _, c in cited)} outside the corpus")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
