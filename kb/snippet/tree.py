"""The statement trees that kb.snippet.parse makes of C text and kb.snippet.walk walks."""

from __future__ import annotations

from dataclasses import dataclass, field

FRAGMENT = "__fragment"


@dataclass(frozen=True)
class Call:
    """One call expression."""

    name: str
    arguments: tuple[str, ...]
    line: int
    text: str
    target: str = ""
    """What the result is assigned to; empty when it is not."""


@dataclass(frozen=True)
class Assign:
    """One assignment, declaration with a value, or increment."""

    target: str
    value: str
    line: int


@dataclass(frozen=True)
class Touch:
    """A pointer variable's memory is read or written."""

    variable: str
    line: int


@dataclass(frozen=True)
class Declare:
    """A local variable."""

    type: str
    name: str
    pointer: bool
    line: int


Event = Call | Assign | Touch | Declare


@dataclass(frozen=True)
class Do:
    """What an expression does, in order of evaluation."""

    events: tuple[Event, ...]


@dataclass(frozen=True)
class If:
    """A condition with two ways on."""

    test: str
    events: tuple[Event, ...]
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True)
class Loop:
    """A loop; `test` is empty when it runs for ever."""

    test: str
    events: tuple[Event, ...]
    body: tuple[Statement, ...]
    once: bool
    """Whether the body runs before the test (do ... while)."""


@dataclass(frozen=True)
class Switch:
    """A switch: its cases in order; falling through is kept."""

    events: tuple[Event, ...]
    cases: tuple[tuple[Statement, ...], ...]
    default: bool


@dataclass(frozen=True)
class Try:
    """Structured exception handling; `handler` for __except, `final` for __finally."""

    body: tuple[Statement, ...]
    handler: tuple[Statement, ...]
    final: tuple[Statement, ...]


@dataclass(frozen=True)
class Leave:
    """return, break, continue, goto, __leave."""

    kind: str
    label: str
    line: int


@dataclass(frozen=True)
class Label:
    """Where a goto leads."""

    name: str


Statement = Do | If | Loop | Switch | Try | Leave | Label


@dataclass(frozen=True)
class Function:
    """One function, or a fragment without one."""

    name: str
    line: int
    last: int
    returns: str
    parameters: tuple[tuple[str, str], ...]
    """Type and name of each."""
    body: tuple[Statement, ...]
    sal: str = ""
    """Annotations before it, as written."""
    section: str = ""
    """The code section that a pragma or __declspec puts it into."""

    @property
    def fragment(self) -> bool:
        """Whether it is loose statements rather than a function."""
        return self.name == FRAGMENT


@dataclass
class Unit:
    """All that was read from one snippet."""

    functions: list[Function] = field(default_factory=list)
    declared: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Name to the types it is declared with (`DRIVER_DISPATCH Foo;`) and the line as written."""
    sections: dict[str, str] = field(default_factory=dict)
    """Function to the section that `#pragma alloc_text` names."""
    text: str = ""
    """The code without comments."""
    source: str = ""
    """The code as pasted."""
    shortened: bool = False
    """Whether dots stand for code that was left out."""
