"""What judging a Case comes to: every act, block and place judged, and a verdict of its own for each ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kb.case import Case
from kb.engine import Facts, Judgement, Step

OUTCOMES = ("allowed", "undetermined", "forbidden")  # from the mildest


@dataclass(frozen=True)
class Context:
    """One way in which the code of a place comes to run: its own facts, or what comes down from one of its callers."""

    facts: Facts
    path: tuple[str, ...]
    """Ids of places: the place itself, then its callers outward."""
    unknown: tuple[str, ...] = ()
    """Names of routines that no table knows and on which the level depends."""
    doubts: tuple[str, ...] = ()
    """Held locks and facts that no table knows, in words: nothing is firmly allowed under them."""


@dataclass(frozen=True)
class Judged:
    """One thing that is done, in one context, as the engine judged it."""

    judgement: Judgement
    subject: str
    """Id of the act, block or place; `block.object` for an object in a block."""
    part: str
    """call, memory, storage, code, wait or acquire."""
    context: Context
    pool: str = ""
    """The pool it was judged for where the Case tells none."""

    @property
    def outcome(self) -> str:
        """`allowed`, `forbidden` or `undetermined`."""
        return self.judgement.outcome


@dataclass(frozen=True)
class Finding:
    """All judgements of one act or place, over every context."""

    subject: str
    outcome: str
    judged: tuple[Judged, ...]
    """The deciding ones first."""
    unknown: tuple[str, ...] = ()
    """Facts that would settle it."""
    conditions: tuple[str, ...] = ()
    """What it hangs on that no fact expresses, in words."""
    broken_at: str = ""
    """Where forbidden: `lowest` when at every level the place can have, else `highest`."""

    @property
    def deciding(self) -> Judged | None:
        """The judgement that decides; None when nothing could be judged."""
        return next((one for one in self.judged if one.outcome == self.outcome), self.judged[0] if self.judged else None)


@dataclass(frozen=True)
class PoolFinding:
    """What all uses of a block say about the pool it must come from."""

    subject: str
    pool: str
    """As contract.md defines the values; `n/a` when no pool is at stake."""
    judged: tuple[Judged, ...] = ()
    """The deciding ones first."""
    unknown: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    broken_at: str = ""
    proposed: str = ""
    """The pool that the Case gives or proposes."""

    @property
    def wrong(self) -> bool:
        """Whether the pool that is given or proposed will not do."""
        return self.pool == "nonpaged_required" and self.proposed == "paged" or self.pool == "not_allowed"


@dataclass(frozen=True)
class AskVerdict:
    """The verdict of one ask; a field that its kind does not have is empty."""

    outcome: str = "none"
    pool: str = ""
    callable: str = ""
    min_irql: str = ""
    max_irql: str = ""
    level: str = ""
    claim: str = ""
    condition: str = ""
    broken_at: str = ""
    because: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The verdict with the keys of contract.md; fields that do not apply are left out."""
        written: dict[str, Any] = {"outcome": self.outcome}
        for name in ("pool", "callable", "min_irql", "max_irql", "level", "claim", "condition", "broken_at"):
            if value := getattr(self, name):
                written[name] = value
        for name in ("because", "wrong"):
            if value := getattr(self, name):
                written[name] = list(value)
        return written


@dataclass(frozen=True)
class JudgedAsk:
    """An ask with its verdict and the proof."""

    id: str
    verdict: AskVerdict
    judged: tuple[Judged, ...] = ()
    """What decides, first what decides most."""
    derivation: tuple[Step, ...] = ()
    unknown: tuple[str, ...] = ()
    assumed: Mapping[str, str] = field(default_factory=dict)
    abstained: bool = False


@dataclass(frozen=True)
class Also:
    """Something wrong that nobody asked about."""

    about: str
    verdict: AskVerdict
    judged: tuple[Judged, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The derivation of what decides."""
        return self.judged[0].judgement.steps if self.judged else ()


@dataclass(frozen=True)
class JudgedCase:
    """A Case with everything in it judged."""

    case: Case
    asks: Mapping[str, JudgedAsk]
    acts: Mapping[str, Finding]
    places: Mapping[str, Finding]
    pools: Mapping[str, PoolFinding]
    also: tuple[Also, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The part of contract.md's Answer that judging gives: the Case, its asks and what else is wrong; words are not written yet."""
        asks = []
        for name, one in self.asks.items():
            ask = self.case.asks[name]
            back = (one.unknown[0] if one.unknown else one.verdict.condition) or None
            asks.append(
                {
                    "id": name, "kind": ask.kind, "about": list(ask.about), "words": ask.words, "says": "", "verdict": one.verdict.to_json(),
                    "derivation": derivation_json(one.derivation),
                    "ask_back": back if one.verdict.outcome == "undetermined" else None, "abstained": one.abstained,
                }
            )  # fmt: skip
        also = [{"about": one.about, "verdict": one.verdict.to_json(), "derivation": derivation_json(one.steps)} for one in self.also]
        return {"case": self.case.to_json(), "asks": asks, "also": also, "abstained": bool(asks) and all(one["abstained"] for one in asks)}


def derivation_json(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Steps with the pages they rest on; contract.md's numbers into `citations` come with the written answer."""
    return [
        {"rule": step.rule, "says": step.says, "from": list(step.premises), "pages": [one.url for one in step.citations]} for step in steps
    ]


def worst(outcomes: list[str]) -> str:
    """The strictest of several outcomes: one forbidden forbids, `allowed` needs all; `undetermined` for none."""
    if not outcomes:
        return "undetermined"
    return max(outcomes, key=OUTCOMES.index)
