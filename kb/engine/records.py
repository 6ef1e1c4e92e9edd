"""What is judged, and what comes of it: facts, the steps of a derivation, judgements and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kb.ddis import DdiRow
from kb.terms import Citation

Value = str | tuple[str, ...]
Facts = Mapping[str, Value]
MEMORY_ACTS = ("allocate", "touch", "free", "store")
LEVEL_FACTS = ("irql.lowest", "irql.highest")
LIMIT_FACTS = ("limit.lowest", "limit.highest")
OUTSIDE_POOL = ("stack", "device_extension", "global", "user_buffer", "paged_section")


@dataclass(frozen=True)
class Step:
    """One step of a derivation."""

    rule: str
    """Id of the rule, or `<table>/<row>` or `ddi/<name>` for a row that concluded."""
    says: str
    premises: tuple[str, ...]
    """Names of the facts it started from."""
    citations: tuple[Citation, ...]
    concludes: tuple[str, ...] = ()
    """Names of the facts it concluded."""


@dataclass(frozen=True)
class Contradiction:
    """A stated fact that a rule's conclusion overrides; the rule is used, never the claim."""

    fact: str
    stated: str
    concluded: str
    rule: str
    says: str
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What one use comes to."""

    outcome: str
    """`allowed`, `forbidden` or `undetermined`."""
    steps: tuple[Step, ...]
    unknown: tuple[str, ...] = ()
    """Facts that would settle it, when undetermined."""
    conditions: tuple[str, ...] = ()
    """Conditions in words that no fact expresses, when undetermined because of them."""
    assumed: Mapping[str, str] = field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()
    lowest: str | None = None
    highest: str | None = None
    facts: Facts = field(default_factory=dict)
    """All facts, stated, assumed and derived."""
    rows: tuple[DdiRow, ...] = ()
    """The DDI rows that may apply to a call."""


@dataclass(frozen=True)
class Branch:
    """What holds when the unknown fact has this value."""

    fact: str
    value: str
    pool: str
    callable: str
    outcome: str


@dataclass(frozen=True)
class Verdict:
    """The engine's judgement over all uses."""

    outcome: str = "none"
    pool: str = "n/a"
    callable: str = "n/a"
    max_irql: str | None = None
    min_irql: str | None = None
    condition: str | None = None
    derivation: tuple[Step, ...] = ()
    unknown: tuple[str, ...] = ()
    branches: tuple[Branch, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    assumed: Mapping[str, str] = field(default_factory=dict)
    judgements: tuple[Judgement, ...] = ()
    deciding: int | None = None
    """Number of the use that decided."""
