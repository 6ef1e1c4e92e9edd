"""facts.yaml and the tables in, the project's words out: levels in order, facts, citations, table rows."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

KNOWLEDGE = Path(__file__).parent / "knowledge"
LEVELS = ("PASSIVE_LEVEL", "APC_LEVEL", "DISPATCH_LEVEL", "DIRQL", "HIGH_LEVEL")  # wdm.h order; see contract: device levels = DIRQL
LEARN = "https://learn.microsoft.com/en-us/windows-hardware/drivers/"


class KnowledgeError(ValueError):
    """A knowledge file is malformed. The message gives file, field, reason and cure; several are joined by newlines."""


def rank(level: str) -> int:
    """
    Place of an IRQL among the five levels.

    Args:
        level: One of `LEVELS`.

    Returns:
        0 for PASSIVE_LEVEL up to 4 for HIGH_LEVEL.

    Raises:
        ValueError: *level* is not a level.
    """
    return LEVELS.index(level)


def page_url(page: str, section: str | None = None) -> str:
    """
    Public address of a documentation page.

    Args:
        page: Page id such as `kernel/x` or `ddi/wdm/nf-wdm-x`.
        section: Slug of a heading, or None for the page itself.

    Returns:
        The address, with `#section` when given.
    """
    return LEARN + page + (f"#{section}" if section else "")


@dataclass(frozen=True)
class Citation:
    """Where a statement is documented."""

    page: str
    """Page id; empty for a source outside the corpus."""
    section: str | None = None
    """Slug of the heading it stands under; None for the page's introduction."""
    terms: tuple[str, ...] = ()
    """Words that stand together in one paragraph or row of that section (checked by tests)."""
    says: str = ""
    """Our own words: what the section says."""
    url: str = ""
    """Public address."""
    outside: bool = False
    """Whether the source is not part of the driver documentation."""

    @classmethod
    def read(cls, entry: Mapping[str, Any], where: str) -> Citation:
        """
        Build a citation from its YAML mapping.

        Args:
            entry: Keys `page` or `url`, optionally `section`, `terms`, `says`, `outside`.
            where: File and row, for the message.

        Returns:
            The citation.

        Raises:
            KnowledgeError: A key is unknown, or both or neither of `page` and `url` are given.
        """
        unknown = set(entry) - {"page", "section", "terms", "says", "url", "outside"}
        if unknown:
            raise KnowledgeError(f"{where}: citation has unknown keys {sorted(unknown)}; use page, section, terms, says, url, outside")
        if bool(entry.get("page")) == bool(entry.get("url")):
            raise KnowledgeError(f"{where}: a citation needs either `page` or `url`; give the page id, for example kernel/pool-flags")
        page = str(entry.get("page", ""))
        section = entry.get("section")
        return cls(
            page=page,
            section=str(section) if section else None,
            terms=tuple(str(term) for term in entry.get("terms") or ()),
            says=" ".join(str(entry.get("says", "")).split()),
            url=str(entry.get("url") or page_url(page, str(section) if section else None)),
            outside=bool(entry.get("outside", not page)),
        )


@dataclass(frozen=True)
class Row:
    """One row of a hand-written table: a routine, lock, object, allocator, bug check or Linux term."""

    table: str
    id: str
    title: str
    names: tuple[str, ...]
    says: tuple[str, ...]
    note: str
    citations: tuple[Citation, ...]
    more: Mapping[str, Any] = field(default_factory=dict)
    """The columns that only this table has."""


def read_yaml(path: Path) -> Any:
    """
    Parse one YAML file.

    Args:
        path: The file, UTF-8.

    Returns:
        What it holds.

    Raises:
        KnowledgeError: It is missing or is not YAML; the message has the line.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is about six times faster
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - a safe loader, chosen above
    except OSError as error:
        raise KnowledgeError(f"{path.name}: cannot be read ({error.strerror}); restore it from the repository") from error
    except yaml.YAMLError as error:
        raise KnowledgeError(f"{path.name}: not YAML: {' '.join(str(error).split())}; quote texts that hold ': ' or '#'") from error
