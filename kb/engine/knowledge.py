"""The knowledge files in, everything the engine reasons with out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kb.ddis import DdiTable
from kb.rulebook import Rule, load_rules
from kb.terms import Terms, load_terms


class Knowledge(NamedTuple):
    """Everything the engine reasons with."""

    terms: Terms
    rules: tuple[Rule, ...]
    ddis: DdiTable


def load_knowledge(extra: Sequence[Path] = ()) -> Knowledge:
    """
    Load terms, rules and DDI facts from the built-in knowledge.

    Args:
        extra: Tables of DDI facts that a user's own sources gave, beside the index.

    Returns:
        The knowledge; loaded once a process.

    Raises:
        KnowledgeError: A file is malformed.
    """
    return Knowledge(load_terms(), load_rules(), DdiTable.load(extra=extra))
