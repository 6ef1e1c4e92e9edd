"""snippet_checks.yaml and the tables in, quick look-ups for the walk through a snippet out."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kb.terms import KNOWLEDGE, Citation, KnowledgeError, Terms, load_terms, read_yaml


@dataclass(frozen=True)
class Check:
    """One structural check."""

    id: str
    title: str
    kind: str
    rationale: str
    fix: str
    citations: tuple[Citation, ...]
    advice: bool
    more: Mapping[str, Any]


@dataclass(frozen=True)
class Checks:
    """What the file says, by name."""

    by_kind: Mapping[str, tuple[Check, ...]]
    data: Mapping[str, Any]
    acquires: Mapping[str, str]
    """Routine to the id of the lock that it acquires."""
    releases: Mapping[str, tuple[str, ...]]
    """Routine to the ids of the locks that it releases."""
    frees: Mapping[str, tuple[str, ...]]
    """Routine to the ids of the allocators whose memory it frees."""
    allocators: Mapping[str, str]
    """Routine to its row of allocators.yaml."""
    enums: Mapping[str, tuple[str, str, bool]]
    """Pool argument to its enumeration, its pool (empty for a mere attribute), and whether it makes memory executable."""
    objects: Mapping[str, str]
    """Type or constant that names an object, to its row of objects.yaml."""
    roles: Mapping[str, str]
    """Documented routine names and types to rows of routines.yaml."""
    arguments: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)

    def one(self, kind: str) -> Check:
        """The first check of a kind."""
        return self.by_kind[kind][0]


KEYS = {"id", "title", "kind", "rationale", "fix", "citations", "advice"}
FEW_NAMES = frozenset({"CompareRoutine", "AllocateRoutine", "FreeRoutine", "QueueRoutine"})  # too common as names of a driver's own


@functools.lru_cache(maxsize=2)
def load_checks(folder: Path = KNOWLEDGE) -> Checks:
    """
    Load the checks and prepare the look-ups.

    Args:
        folder: The knowledge folder.

    Returns:
        The checks, loaded once.

    Raises:
        KnowledgeError: A check lacks a key.
    """
    terms = load_terms(folder)
    data = read_yaml(folder / "snippet_checks.yaml")
    by_kind: dict[str, list[Check]] = {}
    for entry in data["checks"]:
        missing = [key for key in ("id", "title", "kind", "rationale", "fix", "citations") if not entry.get(key)]
        if missing:
            raise KnowledgeError(f"snippet_checks.yaml: {entry.get('id', '?')}: {', '.join(missing)} missing; every check has id, title, kind, rationale, fix and citations")
        citations = tuple(Citation.read(one, entry["id"]) for one in entry["citations"])
        more = {key: value for key, value in entry.items() if key not in KEYS}
        check = Check(entry["id"], entry["title"], entry["kind"], " ".join(entry["rationale"].split()), entry["fix"], citations, bool(entry.get("advice")), more)
        by_kind.setdefault(check.kind, []).append(check)
    return Checks(by_kind={kind: tuple(rows) for kind, rows in by_kind.items()}, data=data, **look_ups(terms))


def look_ups(terms: Terms) -> dict[str, Any]:
    """The tables turned round: from a routine's name to rows."""
    acquires: dict[str, str] = {}
    releases: dict[str, list[str]] = {}
    for row in terms.tables["locks"].values():
        for name in row.more.get("acquire") or ():
            acquires.setdefault(name, row.id)
        for name in row.more.get("free") or ():
            releases.setdefault(name, []).append(row.id)
    frees: dict[str, list[str]] = {}
    allocators: dict[str, str] = {}
    for row in terms.tables["allocators"].values():
        if row.more.get("role") == "release":
            continue
        for name in row.names:
            allocators.setdefault(name, row.id)
        for name in (row.more.get("release") or {}).get("with") or ():
            frees.setdefault(name, []).append(row.id)
    enums: dict[str, tuple[str, str, bool]] = {}
    for row in terms.tables["pool_arguments"].values():
        for name in row.names:
            enums[name] = (str(row.more.get("enum", "")), str(row.more.get("pool") or ""), row.more.get("executable") is True)
    roles: dict[str, str] = {}
    for row in terms.tables["routines"].values():
        for name in row.names:
            if name not in FEW_NAMES:
                roles.setdefault(name, row.id)
    arguments: dict[str, list[Mapping[str, Any]]] = {}
    for entry in terms.arguments:
        arguments.setdefault(str(entry["ddi"]), []).append(entry)
    return {
        "acquires": acquires,
        "releases": {name: tuple(rows) for name, rows in releases.items()},
        "frees": {name: tuple(rows) for name, rows in frees.items()},
        "allocators": allocators,
        "enums": enums,
        "objects": {name: row.id for row in terms.tables["objects"].values() for name in row.names if name.isupper()},
        "roles": roles,
        "arguments": {name: tuple(rows) for name, rows in arguments.items()},
    }
