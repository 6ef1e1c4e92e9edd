"""The records of a Case: blocks, places, acts, symptoms and asks, each fact with its standing and origin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_serializer

Standing = Literal["stated", "proposed", "possible", "claimed", "observed", "denied", "past", "replaced"]
Origin = Literal["said", "carried", "edited", "assumed", "derived"]
Level = Literal["PASSIVE_LEVEL", "APC_LEVEL", "DISPATCH_LEVEL", "DIRQL", "HIGH_LEVEL"]
Memory = Literal["pool", "stack", "global", "device_extension", "object_context", "user_buffer", "paged_section"]
ActKind = Literal["allocate", "touch", "free", "store", "call", "acquire", "release", "wait"]
SymptomKind = Literal["bugcheck", "verifier", "assert", "hang", "tool"]
AskKind = Literal["may", "pool", "code", "level", "claim", "cause", "cure", "maps_to", "what", "review", "outside"]

ASK_KINDS = ("may", "pool", "code", "level", "claim", "cause", "cure", "maps_to", "what", "review", "outside")
JUDGED = ("stated", "proposed", "possible")
"""Standings of what the engine judges; claimed and observed facts are compared with it, the rest stays aside."""


class Record(BaseModel):
    """A frozen record that refuses unknown fields and leaves empty ones out when it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_serializer(mode="wrap")
    def _without_empty(self, handler: Any) -> Any:
        fields = type(self).model_fields
        written = handler(self)
        return {name: value for name, value in written.items() if not is_default(value, fields[name])}


def is_default(value: Any, field: Any) -> bool:
    """Whether a written value is the one that the field has when nothing is given."""
    default = field.get_default(call_default_factory=True)
    return value == default or not default and default is not None and not value


class Unknown(BaseModel):
    """A name that no table knows: kept and shown, and what hangs on it is conditional."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    unknown: str


Name = str | Unknown
"""A row id or documented name, or what was said in its place."""


class Fact(Record):
    """The value of a fact with how it stands and where it comes from."""

    value: Any
    standing: Standing = "stated"
    origin: Origin = "said"
    by: str = ""
    words: str = ""

    @model_serializer(mode="wrap")
    def _plain(self, handler: Any) -> Any:
        plain = self.standing == "stated" and self.origin == "said" and not self.by and not self.words
        if plain:
            return self.value
        written = {"value": self.value, "standing": self.standing, "origin": self.origin, "by": self.by, "words": self.words}
        defaults = {"standing": "stated", "origin": "said", "by": "", "words": ""}
        return {name: value for name, value in written.items() if value != defaults.get(name, self)}

    @property
    def text(self) -> str:
        """The value as the words of facts.yaml: true and false in lower case."""
        return str(self.value).lower() if isinstance(self.value, bool) else str(self.value)


def as_fact(value: Any) -> Any:
    """A fact written plainly is stated and said."""
    if isinstance(value, (str, bool, int, float)):
        return {"value": value}
    return value


class Held(Record):
    """A lock held at a place."""

    lock: Name
    standing: Standing = "stated"

    @model_serializer(mode="wrap")
    def _plain(self, handler: Any) -> Any:
        if self.standing == "stated":
            return self.lock if isinstance(self.lock, str) else {"lock": {"unknown": self.lock.unknown}}
        lock = self.lock if isinstance(self.lock, str) else {"unknown": self.lock.unknown}
        return {"lock": lock, "standing": self.standing}


def as_held(value: Any) -> Any:
    """A lock held that is written as its row, or as a name that no table knows."""
    if isinstance(value, str) or isinstance(value, dict) and set(value) == {"unknown"}:
        return {"lock": value}
    return value


StatedFact = Annotated[Fact, BeforeValidator(as_fact)]
Facts = Annotated[Mapping[str, StatedFact], Field(default_factory=dict)]
Text = str


class Irql(Record):
    """A range of levels that is told of a place; an end that is not told is left out."""

    lowest: Level | None = None
    highest: Level | None = None
    standing: Standing = "stated"
    origin: Origin = "said"


class Told(Record):
    """What every part of a situation carries."""

    words: Text = ""
    """The words of the message that it was read from."""
    standing: Standing = "stated"
    origin: Origin = "said"


class Block(Told):
    """One piece of memory under its own name."""

    memory: Memory | None = None
    pool: StatedFact | None = None
    objects: tuple[Name, ...] = ()
    """Rows of objects.yaml that it is or contains."""
    allocator: Name | None = None
    facts: Facts


class Place(Told):
    """Where code runs."""

    routine: Name | None = None
    linux: Name | None = None
    irql: Irql | None = None
    held: tuple[Annotated[Held, BeforeValidator(as_held)], ...] = ()
    called_from: tuple[str, ...] = ()
    facts: Facts


class Act(Told):
    """Something that is done at a place."""

    act: ActKind
    place: str | None = None
    block: str | None = None
    ddi: Name | None = None
    lock: Name | None = None
    mode: Literal["shared", "exclusive"] | None = None
    object: Name | None = None
    allocator: Name | None = None
    linux: Name | None = None
    locks: tuple[Name, ...] = ()
    """All locks held there: rows of locks.yaml, or blocks where two of a kind matter."""
    facts: Facts
    args: Annotated[Mapping[str, Any], Field(default_factory=dict)]
    when: str = ""
    """A guard, in the code's words."""
    after: tuple[str, ...] = ()


class Symptom(Record):
    """What was seen: a stop, an assertion, a hang, a tool's remark."""

    kind: SymptomKind
    words: Text = ""
    place: str | None = None
    code: str = ""
    parameters: tuple[Any, ...] = ()
    frames: tuple[str, ...] = ()
    tag: str = ""
    irql: str = ""
    row: Name | None = None


def as_ids(value: Any) -> Any:
    """One id or several."""
    return (value,) if isinstance(value, str) else value


class Ask(Record):
    """One thing that is asked."""

    kind: AskKind
    about: Annotated[tuple[str, ...], BeforeValidator(as_ids)] = ()
    """Ids of blocks, places, acts and symptoms; `block.object`, `case`, or a row as `linux:rcu`."""
    words: Text = ""
    implied: bool = False
    proposes: Any = None
    suppose: tuple[Mapping[str, Any], ...] = ()
    """A JSON Patch under which this ask alone is judged."""
    by: str = ""
    says: str = ""


class Case(Record):
    """A situation and what is asked of it; every part a map by id."""

    environment: Annotated[Mapping[str, Any], Field(default_factory=dict)]
    blocks: Annotated[Mapping[str, Block], Field(default_factory=dict)]
    places: Annotated[Mapping[str, Place], Field(default_factory=dict)]
    acts: Annotated[Mapping[str, Act], Field(default_factory=dict)]
    symptoms: Annotated[Mapping[str, Symptom], Field(default_factory=dict)]
    asks: Annotated[Mapping[str, Ask], Field(default_factory=dict)]
    unused: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The Case as case.schema.json has it: empty fields left out, one id instead of a list of one."""
        written: dict[str, Any] = self.model_dump(mode="json")
        for ask in written.get("asks", {}).values():
            if len(ask.get("about", ())) == 1:
                ask["about"] = ask["about"][0]
        return written


def known(name: Name | None) -> str:
    """The name of a row or routine; empty for none, and for one that no table knows."""
    return name if isinstance(name, str) else ""


def words_of(name: Name | None) -> str:
    """A name as it was said, whether or not a table knows it."""
    return name.unknown if isinstance(name, Unknown) else name or ""
