"""Text in, IRQL ranges out: every spelling of a level that the reference pages use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from kb.terms import LEVELS

PASSIVE, APC, DISPATCH, DIRQL, HIGH = range(5)
_RANK = {
    "passive_level": PASSIVE, "passive": PASSIVE, "low_level": PASSIVE,
    "apc_level": APC,
    "dispatch_level": DISPATCH, "dispatch": DISPATCH, "dpc_level": DISPATCH,
    "dirql": DIRQL, "device_level": DIRQL, "interrupt_level": DIRQL, "synch_level": DIRQL,
    "profile_level": HIGH, "clock_level": HIGH, "clock2_level": HIGH, "ipi_level": HIGH, "power_level": HIGH, "high_level": HIGH,
}  # fmt: skip
_NAME = (
    r"(?:(?:PASSIVE|APC|DISPATCH|DPC|DEVICE|INTERRUPT|SYNCH|PROFILE|CLOCK2?|IPI|POWER|HIGH)_ ?LEVEL|passive[ -]level|dispatch[ -]level|DIRQL"
    r"|PASSIVE\b|DISPATCH\b)"
)
_LOWER = r"(?:or|and) (?:below|lower|less)"
_HIGHER = r"(?:or|and) (?:above|higher|greater)"
_AT_MOST = (
    r"<\s?=|=<|≤|(?:(?:is |are )?(?:less|lower)(?: than)?,? (?:or|and) equal(?: to)?)|at or below|no higher than|not higher than|no greater than"
    r"|not above|up to|(?:less or equal(?: to)?)"
)
_BELOW = r"<|below|(?:less|lower) than|under"
_AT_LEAST = r">\s?=|≥|(?:greater|higher) than,? or equal to|at or above|no lower than|a minimum IRQL of|minimum of"
_ABOVE = r">|above|(?:greater|higher) than"
_EXACT = r"==?|of|equal to|is"
_LEVEL = re.compile(
    rf"(?P<any>\bany\s+(?:IRQL|level)(?:\s+level)?\b)"
    rf"|(?:(?P<op>{_AT_MOST}|{_AT_LEAST}|{_BELOW}|{_ABOVE}|{_EXACT})\s*(?:IRQL\s*=?\s*|an IRQL of |\()?)?"
    rf"(?P<name>\b{_NAME})(?P<minus>\s*-\s*1)?(?P<tail>,? (?:{_LOWER}|{_HIGHER}))?"
    rf"(?:\s*(?P<to>to|or|and)\s+(?:at )?(?:IRQL )?(?P<op2>=|<\s?=|>\s?=)?\s*(?P<name2>{_NAME}))?",
    re.IGNORECASE,
)


class Span(NamedTuple):
    """An IRQL range as two places in `LEVELS`."""

    low: int
    high: int

    @property
    def names(self) -> tuple[str, str]:
        """The two levels' names."""
        return LEVELS[self.low], LEVELS[self.high]


@dataclass(frozen=True)
class Mention:
    """A level as a text names it."""

    start: int
    end: int
    span: Span
    exact: bool
    """Whether one level is named with no `<=`, `or below`, ...: `at DISPATCH_LEVEL`."""


def mentions(text: str) -> list[Mention]:
    """
    Find every IRQL range that a text names.

    Args:
        text: A sentence, unescaped.

    Returns:
        The ranges in order.
    """
    found = []
    for match in _LEVEL.finditer(text):
        if match["any"]:
            found.append(Mention(match.start(), match.end(), Span(PASSIVE, HIGH), exact=False))
            continue
        name = _key(match["name"])
        if name not in _RANK:
            continue
        level = _RANK[name]
        if match["minus"]:
            level = DIRQL if level == HIGH else max(level - 1, PASSIVE)
        op = " ".join((match["op"] or "").lower().split())
        tail = (match["tail"] or "").lower()
        span, exact = Span(level, level), True
        if re.fullmatch(_AT_MOST, op, re.IGNORECASE) or re.search(_LOWER, tail):
            span, exact = Span(PASSIVE, level), False
        elif re.fullmatch(_AT_LEAST, op, re.IGNORECASE) or re.search(_HIGHER, tail):
            span, exact = Span(level, HIGH), False
        elif re.fullmatch(_BELOW, op, re.IGNORECASE):
            # below the profile, clock, IPI or highest level still means device levels at most
            span, exact = Span(PASSIVE, max(level - 1, PASSIVE)), False
        elif re.fullmatch(_ABOVE, op, re.IGNORECASE):
            span, exact = Span(min(level + 1, HIGH), HIGH), False
        if match["name2"] and _key(match["name2"]) in _RANK and not tail:
            other = _RANK[_key(match["name2"])]
            if match["to"].lower() == "to" or exact:
                span, exact = Span(min(span.low, other), max(span.high, other)), False
        found.append(Mention(match.start(), match.end(), span, exact))
    return found


def _key(name: str) -> str:
    return re.sub(r"[ -]+", "_", name.lower()).replace("__", "_")


@dataclass(frozen=True)
class Field:
    """What a page's `req.irql` states."""

    span: Span | None
    defers: bool
    """Whether it points at the Remarks (or comments, parameters, return value)."""
    understood: bool
    """False: it says something that this reader could not turn into a range."""
    bare: bool
    """One level or one comparison with a level, nothing else."""
    resident: bool = False
    """The range holds for resident memory only."""


_DEFER = re.compile(r"\(?\s*\b(?:for more information,?\s*)?see\s+(?:the\s+)?(?:remarks?|comments?|parameters?|return value)\b[^)]*\)?\.?", re.IGNORECASE)
_NOTHING = re.compile(r"_requires_same_|requires same|_must_inspect_result_|not applicable|n/?a|none", re.IGNORECASE)
_SAL = re.compile(r"_?(?:IRQL_)?requires_(max_)?\(([A-Z_]+)\)", re.IGNORECASE)
_FILLER = re.compile(r"\b(?:called|can|be|callable|runs?|at|irql|level|the|must|is)\b|[.\s=()]", re.IGNORECASE)


def read_field(raw: str) -> Field:
    """
    Understand a page's `req.irql`.

    Args:
        raw: The field's text.

    Returns:
        The range, and whether the field points at the Remarks; a text of several conditions is left to the Remarks reader.
    """
    text = " ".join(raw.replace("\\", "").replace("&lt;", "<").replace("&gt;", ">").split()).strip(" '\"")
    if not text or _NOTHING.fullmatch(text.rstrip(".")):
        return Field(None, defers=False, understood=True, bare=False)
    sal = _SAL.fullmatch(text)
    if sal:
        named = mentions(sal[2])
        if named:
            top = named[0].span.high
            return Field(Span(PASSIVE if sal[1] else top, top), defers=False, understood=True, bare=True)
    defers = bool(_DEFER.search(text))
    rest = re.sub(r"\(\s*\)", "", _DEFER.sub("", text)).strip(" .;,()")
    rest = re.sub(r"^<=\((\w+)$", r"<= \1", rest)
    if not rest:
        return Field(None, defers=True, understood=True, bare=False)
    if rest.lower() in ("any", "any irql", "any level"):
        return Field(Span(PASSIVE, HIGH), defers, understood=True, bare=not defers)
    if re.fullmatch(r"any level as long as target memory is resident", rest, re.IGNORECASE):
        return Field(Span(PASSIVE, HIGH), defers, understood=True, bare=False, resident=True)
    if re.fullmatch(r"passive level", rest, re.IGNORECASE):
        rest = "PASSIVE_LEVEL"
    named = mentions(rest)
    left = rest
    for mention in reversed(named):
        left = left[: mention.start] + left[mention.end :]
    left = _FILLER.sub("", left)
    if len(named) == 1 and not left and not re.search(r"\bor\s*<", rest):
        span = named[0].span
        return Field(span, defers, understood=True, bare=not defers)
    return Field(None, defers, understood=False, bare=False)
