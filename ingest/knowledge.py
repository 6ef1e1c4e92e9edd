"""kb/knowledge in, Pages out: our own rules, tables and articles, so that the chat finds and cites them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ingest.pages import Page, Section, read_sections, slug
from kb.terms import KNOWLEDGE, KnowledgeError, read_yaml

SOURCE = "knowledge"
KNOWLEDGE_VERSION = 3  # in every page's digest: change it whenever the same file would give other Pages
NOT_TABLES = frozenset({"facts", "phrases"})  # for reading questions; nothing to show


def files(folder: Path = KNOWLEDGE) -> Iterator[tuple[str, Path]]:
    """Every file that gives pages, with its path below *folder*, sorted."""
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("rules/*.yaml"), *folder.glob("articles/*.md")]):
        if path.parent != folder or path.stem not in NOT_TABLES:
            yield path.relative_to(folder).as_posix(), path


def digest(path: Path) -> str:
    """What a file's pages depend on."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def read_file(name: str, path: Path) -> list[Page]:
    """
    The pages of one knowledge file.

    Args:
        name: Path below kb/knowledge.
        path: The file.

    Returns:
        One page for a rule or an article, one a row for a table.

    Raises:
        KnowledgeError: The file is malformed; the message names it.
    """
    try:
        if name.startswith("articles/"):
            return [_article(path)]
        entry = read_yaml(path)
        if name.startswith("rules/"):
            return [_rule(path, entry)]
        if not isinstance(entry, list):
            return []
        return [_row(path, row) for row in entry] if any("title" in row for row in entry) else []  # a table of phrases
    except KnowledgeError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OSError, yaml.YAMLError) as error:
        raise KnowledgeError(f"{path.name}: {type(error).__name__}: {str(error).splitlines()[0]}") from error


def _section(title: str, *blocks: str) -> Section:
    name = slug(title)
    return Section(name, title, (), name, [block for block in (_text(block) for block in blocks) if block])


def _text(value: object) -> str:
    """A folded text: one line a paragraph."""
    return "\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", str(value or "")) if part.strip())


def _rule(path: Path, rule: Mapping[str, Any]) -> Page:
    asks = "\n".join(str(example["ask"]) for example in rule.get("examples") or () if isinstance(example, Mapping) and "ask" in example)
    sections = [_section("Why", rule["rationale"]), _section("What to do instead", rule.get("remedy", "")), _section("Examples", asks.replace("\n", "\n\n"))]
    return Page(f"rule/{rule['id']}", str(rule["title"]), f"docs/rules/{path.stem}.md", "rule", SOURCE, (), [section for section in sections if section.blocks])


def _article(path: Path) -> Page:
    _, front, body = path.read_text(encoding="utf-8").split("---", 2)
    head = yaml.safe_load(front)
    sections = read_sections(body, str(head["title"]))
    questions = "\n".join(str(question) for question in head.get("questions") or ())
    if questions:
        sections[0].blocks.append(questions)
    for section in sections:
        section.blocks = [re.sub(r"(?<=\S)\s*(\[\d+\])+(?=[\s.,;:)]|$)", "", block) for block in section.blocks]
    return Page(f"article/{path.stem}", str(head["title"]), f"kb/knowledge/articles/{path.name}", "article", SOURCE, (), [section for section in sections if section.blocks])


def _row(path: Path, row: Mapping[str, Any]) -> Page:
    names = tuple(str(name) for name in row.get("names") or ())
    if isinstance(row.get("code"), int):
        names += (hex(row["code"]),)
    blocks = [_text(row.get("note")), *(_text(found) for found in _notes(row)), _text(row.get("likely")), _text(row.get("difference")), _text(row.get("fix"))]
    said = "; ".join([*names, *(str(phrase) for phrase in row.get("says") or ())])
    blocks = [*dict.fromkeys(block for block in blocks if block), f"Also called: {said}." if said else ""]
    title = str(row["title"])
    return Page(
        f"table/{path.stem}/{row['id']}",
        title[:1].upper() + title[1:],
        f"kb/knowledge/{path.name}",
        "table",
        SOURCE,
        names,
        [Section("", "", (), "", [block for block in blocks if block])],
    )


def _notes(row: Mapping[str, Any]) -> Iterator[str]:
    """The notes of a row's cases and subcodes."""
    for key in ("cases", "subcodes"):
        for inner in row.get(key) or ():
            if isinstance(inner, Mapping) and inner.get("note"):
                value = f"{hex(inner['value'])}: " if isinstance(inner.get("value"), int) else ""
                yield value + str(inner["note"])
