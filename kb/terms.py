"""facts.yaml and the tables in, the project's words out: levels in order, facts, citations, table rows."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


def cache_folder() -> Path:
    """The folder of things that can be made again: parsed tables, exported models, embedded texts. `KB_CACHE` moves it."""
    return Path(os.environ.get("KB_CACHE") or Path(__file__).resolve().parents[1] / "index" / "cache")


def pack(value: Any) -> Any:
    """A parsed YAML value as JSON can hold it: a mapping with keys that are not text becomes a list of pairs."""
    if isinstance(value, dict):
        if all(isinstance(key, str) and key != "__pairs__" for key in value):
            return {key: pack(inner) for key, inner in value.items()}
        return {"__pairs__": [[key, pack(inner)] for key, inner in value.items()]}
    return [pack(inner) for inner in value] if isinstance(value, list) else value


def unpack(value: Any) -> Any:
    """What `pack` packed."""
    if isinstance(value, dict):
        if "__pairs__" in value:
            return {key: unpack(inner) for key, inner in value["__pairs__"]}
        return {key: unpack(inner) for key, inner in value.items()}
    return [unpack(inner) for inner in value] if isinstance(value, list) else value


def keep(file: Path, value: Any) -> None:
    """Write a parsed value into the cache, whole or not at all; a cache that cannot be written costs time only."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f"{file.name}.{os.getpid()}")
        beside.write_text(json.dumps(pack(value)), encoding="utf-8")
        beside.replace(file)
    except (OSError, TypeError, ValueError):
        return


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
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KnowledgeError(f"{path.name}: cannot be read ({error.strerror}); restore it from the repository") from error
    except UnicodeDecodeError as error:
        raise KnowledgeError(f"{path.name}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    kept = cache_folder() / "knowledge" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
    try:
        return unpack(json.loads(kept.read_text(encoding="utf-8")))  # parsing the YAML takes ten times as long
    except (OSError, ValueError):
        pass
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is about six times faster
    try:
        parsed = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader, chosen above
        keep(kept, parsed)
        return parsed
    except yaml.YAMLError as error:
        raise KnowledgeError(f"{path.name}: not YAML: {' '.join(str(error).split())}; quote texts that hold ': ' or '#'") from error


TABLES = ("routines", "locks", "objects", "allocators", "pool_arguments", "bugchecks", "linux", "tools")
COMMON_KEYS = ("id", "title", "names", "says", "note", "citations")


@dataclass(frozen=True)
class FactTerm:
    """One fact a question can state or a rule can test."""

    name: str
    meaning: str
    values: Mapping[str, tuple[str, ...]]
    """Each value with the phrases that state it; empty for facts whose values are rows of a table or free."""
    labels: Mapping[str, str]
    """Each value as a reader sees it, for buttons and branches."""
    ask: str
    """The question that the chat asks when this fact would settle a verdict; empty when it never asks."""
    ordered: bool
    """Whether values can be compared; their order is the order of `values`, for `irql` facts `LEVELS`."""
    assume: str
    """The value that holds when nobody states the fact, shown as an assumption; empty when it stays unknown."""
    assuming: str
    """That assumption in words."""


@dataclass(frozen=True)
class Terms:
    """All words of the project: facts and table rows."""

    facts: Mapping[str, FactTerm]
    tables: Mapping[str, Mapping[str, Row]]
    words: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """`phrases.yaml`: how people mark acts, places, negation and kinds of question."""
    spoken: tuple[tuple[str, tuple[tuple[tuple[str, ...], ...], ...]], ...] = ()
    """`spoken.yaml`: what people say for a call: the routine, and its patterns of alternatives."""
    registers: Mapping[str, str] = field(default_factory=dict)
    """`registers.csv`: the callback type that a routine (in lower case) registers."""
    arguments: tuple[Mapping[str, Any], ...] = ()
    """`arguments.yaml`: which argument of a routine states which fact."""

    def rows(self) -> Iterator[Row]:
        """Every row of every table, in file order."""
        for table in self.tables.values():
            yield from table.values()

    def row(self, table: str, row_id: str) -> Row | None:
        """The row of a table by its id, None when there is none."""
        return self.tables.get(table, {}).get(row_id)

    def order(self, name: str, value: str) -> int | None:
        """Place of a value among the ordered values of a fact, None when the fact has no order or lacks the value."""
        if value in LEVELS:
            return LEVELS.index(value)
        fact = self.facts.get(name)
        if fact is None or not fact.ordered:
            return None
        values = list(fact.values)
        return values.index(value) if value in values else None


def text_of(value: Any) -> str:
    """A YAML scalar as the word that facts use: true and false in lower case, all else as written."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_facts(path: Path) -> dict[str, FactTerm]:
    """
    Load `facts.yaml`.

    Args:
        path: The file: a list of mappings with `name`, `meaning`, and optionally `values`, `ask`, `ordered`, `assume`, `assuming`.

    Returns:
        Facts by name.

    Raises:
        KnowledgeError: An entry is malformed; all faults of the file are in the message.
    """
    facts: dict[str, FactTerm] = {}
    faults = []
    for entry in read_yaml(path) or []:
        name = entry.get("name", "?")
        unknown = set(entry) - {"name", "meaning", "values", "ask", "ordered", "assume", "assuming"}
        if unknown or not entry.get("meaning"):
            faults.append(f"{path.name}: {name}: " + (f"unknown keys {sorted(unknown)}" if unknown else "`meaning` is missing; say what the fact tells"))
            continue
        values, labels = {}, {}
        for value, spoken in (entry.get("values") or {}).items():
            spoken = spoken or {}
            values[text_of(value)] = tuple(spoken.get("says") or ())
            labels[text_of(value)] = str(spoken.get("label") or text_of(value))
        facts[name] = FactTerm(
            name=name,
            meaning=str(entry["meaning"]),
            values=values,
            labels=labels,
            ask=str(entry.get("ask") or ""),
            ordered=bool(entry.get("ordered")),
            assume=text_of(entry["assume"]) if "assume" in entry else "",
            assuming=str(entry.get("assuming") or ""),
        )
    if faults:
        raise KnowledgeError("\n".join(faults))
    return facts


def read_table(path: Path) -> dict[str, Row]:
    """
    Load one table.

    Args:
        path: `kb/knowledge/<table>.yaml`, a list of rows as docs/design.md describes.

    Returns:
        Rows by id, in file order; empty when the file does not exist.

    Raises:
        KnowledgeError: Rows are malformed; all faults of the file are in the message.
    """
    table = path.stem
    rows: dict[str, Row] = {}
    faults = []
    for number, entry in enumerate(read_yaml(path) or [] if path.exists() else [], start=1):
        where = f"{path.name}: {entry.get('id', f'row {number}')}"
        missing = [key for key in ("id", "title", "note", "citations") if not entry.get(key)]
        if missing:
            faults.append(f"{where}: {', '.join(missing)} missing; every row has id, title, note and citations")
            continue
        if entry["id"] in rows:
            faults.append(f"{where}: the id is used twice; ids are unique in a file")
            continue
        try:
            citations = tuple(Citation.read(citation, where) for citation in entry["citations"])
        except KnowledgeError as error:
            faults.append(str(error))
            continue
        rows[entry["id"]] = Row(
            table=table,
            id=str(entry["id"]),
            title=str(entry["title"]).strip(),
            names=tuple(str(name) for name in entry.get("names") or ()),
            says=tuple(str(phrase) for phrase in entry.get("says") or ()),
            note=" ".join(str(entry["note"]).split()),
            citations=citations,
            more={key: value for key, value in entry.items() if key not in COMMON_KEYS},
        )
    if faults:
        raise KnowledgeError("\n".join(faults))
    return rows


def read_registers(path: Path) -> dict[str, str]:
    """
    Load `registers.csv`: which callback a documented routine registers.

    Args:
        path: Columns `ddi`, `position` (of the argument, from 0), `callback`.

    Returns:
        Routine in lower case to callback name; the first row of a routine counts.

    Raises:
        KnowledgeError: The file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
    except OSError as error:
        raise KnowledgeError(f"{path.name}: cannot be read ({error.strerror}); restore it from the repository") from error
    found: dict[str, str] = {}
    for line in lines:
        ddi, _, callback = line.split(",")
        found.setdefault(ddi.lower(), callback)
    return found


def load_terms(folder: Path = KNOWLEDGE) -> Terms:
    """
    Load facts and tables.

    Args:
        folder: The knowledge folder.

    Returns:
        All terms; cached, since nothing changes them while the program runs.

    Raises:
        KnowledgeError: A file is malformed; the faults of all files are in the message.
    """
    return _load_terms(folder)


@functools.lru_cache(maxsize=4)
def _load_terms(folder: Path) -> Terms:
    faults = []
    facts: dict[str, FactTerm] = {}
    tables: dict[str, dict[str, Row]] = {}
    words: dict[str, Any] = {}
    arguments: tuple[dict[str, Any], ...] = ()
    registers: dict[str, str] = {}
    spoken: tuple[tuple[str, tuple[tuple[tuple[str, ...], ...], ...]], ...] = ()
    try:
        facts = read_facts(folder / "facts.yaml")
        words = read_yaml(folder / "phrases.yaml")
        arguments = tuple(read_yaml(folder / "arguments.yaml"))
        spoken = tuple(
            (str(entry["ddi"]), tuple(tuple(tuple(word.split("|")) for word in str(pattern).split()) for pattern in entry["says"])) for entry in read_yaml(folder / "spoken.yaml")
        )
        registers = read_registers(folder / "registers.csv")
    except KnowledgeError as error:
        faults.append(str(error))
    for name in TABLES:
        try:
            tables[name] = read_table(folder / f"{name}.yaml")
        except KnowledgeError as error:
            faults.append(str(error))
    if faults:
        raise KnowledgeError("\n".join(faults))
    return Terms(facts=facts, tables=tables, words=words, arguments=arguments, registers=registers, spoken=spoken)
