"""The two DDI tables in, a documented routine by its name out, and near names."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from kb.ddis.lines import Line, read_lines
from kb.ddis.merge import merge
from kb.ddis.records import Ddi
from kb.terms import KNOWLEDGE


class DdiTable:
    """
    Every documented routine by name, alias or typedef.

    Only the lines of a routine that is asked for are parsed, so that loading takes milliseconds.
    """

    def __init__(self, lines: Iterable[str], corrections: Iterable[str] = (), extra: Iterable[str] = ()) -> None:
        """
        Group lines by routine.

        Args:
            lines: The lines of ddis.csv without its heading.
            corrections: Those of ddi_corrections.csv.
            extra: Those of tables that a user's own sources gave; for a routine the built-in table has, only new pages count.
        """
        self._lines: dict[str, list[str]] = {}
        self._fixes: dict[str, list[str]] = {}
        self._extra: dict[str, list[str]] = {}
        for store, source in ((self._lines, lines), (self._fixes, corrections), (self._extra, extra)):
            for line in source:
                key = line.partition(",")[0].lower()
                if key:
                    store.setdefault(key, []).append(line)
        self._keys: dict[str, None] = dict.fromkeys([*self._lines, *self._fixes, *self._extra])
        self._built: dict[str, Ddi] = {}

    @classmethod
    def load(cls, folder: Path = KNOWLEDGE, extra: Sequence[Path] = ()) -> DdiTable:
        """
        Read the tables.

        Args:
            folder: Holds ddis.csv and ddi_corrections.csv.
            extra: CSV files with the same columns, written beside the index from a user's own sources.

        Returns:
            The table.

        Raises:
            KnowledgeError: A file is missing or its heading is not the documented one.
        """
        added = [line for path in extra for line in read_lines(path)]
        return cls(read_lines(folder / "ddis.csv"), read_lines(folder / "ddi_corrections.csv"), added)

    def __contains__(self, name: object) -> bool:
        """Whether *name* is a documented routine or an alias of one."""
        return isinstance(name, str) and self._resolve(name) is not None

    def __len__(self) -> int:
        """How many routines there are."""
        return len(self._keys)

    def names(self) -> Iterable[str]:
        """Every routine's documented name."""
        for key in self._keys:
            yield self._first(key).partition(",")[0]

    def find(self, name: str) -> Ddi | None:
        """
        Look one routine up.

        Args:
            name: Its name or an alias, in any case; trailing `()` is dropped.

        Returns:
            What is documented of it, None when there is no such routine.
        """
        key = self._resolve(name)
        if key is None:
            return None
        found = self._built.get(key)
        if found is None:
            found = self._built[key] = self._build(key)
        return found

    def near(self, name: str, n: int = 5) -> list[str]:
        """
        Documented names that look like a name that is none.

        Args:
            name: What was typed; blanks and underscores do not count.
            n: How many at most.

        Returns:
            Names, nearest first; names that share too little are left out.
        """
        from rapidfuzz import fuzz, process

        sought = squash(name)
        if len(sought) < 3:
            return []
        scored = process.extract(sought, self._squashed, scorer=fuzz.ratio, score_cutoff=65, limit=max(4 * n, 20))
        # rapidfuzz orders equal scores by position: make the order independent of the file's
        best = sorted(((-round(score, 4), abs(len(text) - len(sought)), key) for text, score, key in scored))
        return [self._first(key).partition(",")[0] for _, _, key in best[:n]]

    @functools.cached_property
    def _squashed(self) -> dict[str, str]:
        return {key: squash(key) for key in self._keys}

    @functools.cached_property
    def _aliases(self) -> dict[str, str]:
        """Keys by alias. Of several routines that claim one, the W form or the first version wins (RtlStringCbPrintf), else none."""
        owners: dict[str, set[str]] = {}
        for key in self._keys:
            for line in (*self._lines.get(key, ()), *self._fixes.get(key, ()), *self._extra.get(key, ())):
                cell = line.split(",", 2)[1]
                if cell:
                    for alias in cell.lower().split(";"):
                        owners.setdefault(alias, set()).add(key)
        found: dict[str, str] = {}
        for alias, keys in owners.items():
            if len(keys) == 1:
                (found[alias],) = keys
            else:
                for key in (f"{alias}w", f"{alias}0"):
                    if key in keys:
                        found[alias] = key
        return found

    def _resolve(self, name: str) -> str | None:
        key = name.strip().removesuffix("()").strip().lower()
        if key in self._keys:
            return key
        if key in self._aliases:
            return self._aliases[key]
        if "_" not in name and not name.isupper():  # a driver writes EvtSpbControllerRead for EVT_SPB_CONTROLLER_READ
            for letters in (squash(key), f"p{squash(key)}"):  # and calls GetScatterGatherList through PGET_SCATTER_GATHER_LIST
                keys = [found for found in self._by_letters.get(letters, []) if "_" in found]
                if keys:
                    return keys[0] if len(keys) == 1 else None
        return None

    @functools.cached_property
    def _by_letters(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key, letters in self._squashed.items():
            found.setdefault(letters, []).append(key)
        return found

    def _first(self, key: str) -> str:
        return (self._lines.get(key) or self._fixes.get(key) or self._extra[key])[0]

    def _build(self, key: str) -> Ddi:
        own = [Line.read(line, "ddis.csv") for line in self._lines.get(key, ())]
        known = {entry.page or entry.header for entry in own}
        own += [entry for line in self._extra.get(key, ()) if (entry := Line.read(line, "extra table")).page not in known or not entry.page]
        fixes = [Line.read(line, "ddi_corrections.csv") for line in self._fixes.get(key, ())]
        return merge(own, fixes)


def squash(name: str) -> str:
    """A name without what a reader may leave out or add."""
    return re.sub(r"[\W_]", "", name).lower()
