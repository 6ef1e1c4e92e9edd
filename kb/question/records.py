"""What a question is read into: its facts, its places, its uses, and the whole of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kb.question.codes import BugCheck

Use = dict[str, "str | tuple[str, ...]"]
MEMORY_ACTS = ("allocate", "touch", "free")
PLACE_FACTS = ("routine", "irql.lowest", "irql.highest", "irql.apart", "lock", "claim.lowest", "claim.highest")
SUBJECT_FACTS = ("ddi", "acquired", "object", "condition", "pool.argument")


@dataclass(frozen=True)
class Fact:
    """One fact read from a question."""

    name: str
    value: str
    use: int | None
    words: str
    """The words it was read from."""
    assumed: bool = False
    carried: bool = False
    """Whether it comes from an earlier question of the conversation."""


@dataclass(frozen=True)
class Question:
    """What was read from one question."""

    text: str
    kind: str
    facts: tuple[Fact, ...]
    uses: tuple[Mapping[str, str | tuple[str, ...]], ...]
    proposed: str = ""
    """The pool that the question proposes."""
    asks_pool: bool = False
    ddis: tuple[str, ...] = ()
    """Documented routines asked about, the subject first."""
    rows: tuple[tuple[str, str], ...] = ()
    """Table rows named: table and id, in order of place."""
    unknown_names: tuple[str, ...] = ()
    """Names that look like kernel routines and are not documented."""
    corrected: tuple[tuple[str, str], ...] = ()
    """Misspelt words and what they were read as."""
    places: tuple[Mapping[str, str | tuple[str, ...]], ...] = ()
    """The places that the prose names, for pasted code that says nothing of its own."""
    bugcheck: BugCheck | None = None
    aside: tuple[str, ...] = ()
    """What was not read as facts: words of others, and words about other things."""
    snippets: tuple[str, ...] = ()
    refusal: str = ""
    """Why it is out of scope; empty when it is not."""
    windows: tuple[str, ...] = ()
    shared: Mapping[str, str] = field(default_factory=dict)
    """Facts that hold for every use."""
    carried: tuple[str, ...] = ()
    """Names of the facts taken over from earlier questions."""
    behind: Question | None = None
    """What the conversation was about, while this question is about something else altogether."""
    before: Question | None = None
    """The question before this one, to go back to when what came after it is taken back."""
    pasted: tuple[Mapping[str, str | tuple[str, ...]], ...] = ()
    """What pasted code calls."""
    memory: tuple[Mapping[str, str | tuple[str, ...]], ...] = ()
    """The last uses of memory that the conversation spoke of."""


@dataclass
class Site:
    """A place that the text names: where something happens."""

    clause: int
    routine: str = ""
    lowest: str = ""
    highest: str = ""
    apart: bool = False
    """Whether the level stands apart from the routine: said of it perhaps, rather than of code in it that raised its level."""
    claim: tuple[str, str] | None = None
    locks: tuple[str, ...] = ()
    words: list[str] = field(default_factory=list)
    acts: tuple[str, ...] = ()
    first: int = 0
    fixed: tuple[str, ...] = ()
    """Acts that are certain, in place of those the clause names."""

    def facts(self) -> Use:
        """The site as facts of a use."""
        use: Use = {}
        if self.routine:
            use["routine"] = self.routine
        if self.highest:
            use["irql.lowest"], use["irql.highest"] = self.lowest, self.highest
            if self.apart:
                use["irql.apart"] = "true"
        if self.claim and (self.routine or not self.locks):
            use["claim.lowest"], use["claim.highest"] = self.claim
        elif self.claim:
            use["lock.claim.lowest"], use["lock.claim.highest"] = self.claim
        if self.locks:
            use["lock"] = self.locks
        return use

    def empty(self) -> bool:
        """Whether nothing is known of the place."""
        return not (self.routine or self.highest or self.locks)
