"""JSON in, a Case out, or one line a fault: where, what is wrong, what it may be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from kb.case import records
from kb.case.records import Case, Fact
from kb.terms import load_terms

PARTS = ("blocks", "places", "acts", "symptoms")
RECORDS: Mapping[str, Any] = {
    "blocks": records.Block,
    "places": records.Place,
    "acts": records.Act,
    "symptoms": records.Symptom,
    "asks": records.Ask,
    "irql": records.Irql,
}


class CaseError(ValueError):
    """A Case is malformed. The message has one line a fault: where, what, and the nearest right names."""


def read_case(value: Any) -> Case:
    """
    Read a Case.

    Args:
        value: What `json.loads` gave: a mapping as `case.schema.json` describes.

    Returns:
        The Case. Names that no table knows are no fault here; they make verdicts conditional.

    Raises:
        CaseError: A field or enumeration value is unknown, or an id is dangling; every fault is a line of the message.
    """
    if not isinstance(value, Mapping):
        raise CaseError(f"case: is {type(value).__name__}, must be an object with blocks, places, acts, symptoms and asks")
    try:
        case = Case.model_validate(value)
    except ValidationError as error:
        raise CaseError("\n".join(dict.fromkeys(fault_line(fault) for fault in error.errors()))) from error
    faults = [*dangling(case), *wrong_values(case)]
    if faults:
        raise CaseError("\n".join(faults))
    return case


def fault_line(fault: Mapping[str, Any]) -> str:
    """One fault of pydantic's as a line: where, what, the nearest right names."""
    loc = [str(part) for part in fault["loc"] if not is_branch(part)]
    where = ".".join(loc) or "case"
    kind, given = fault["type"], fault.get("input")
    if kind == "literal_error":
        return f"{where}: {given!r} is not one of its values{nearest(str(given), values_in(fault))}"
    if kind == "extra_forbidden":
        return f"{where}: there is no such field{nearest(loc[-1], sorted(fields_of(loc[:-1])))}"
    if kind == "missing":
        return f"{where}: is missing; give it a value"
    return f"{where}: {str(fault['msg'])[:1].lower()}{str(fault['msg'])[1:]}; see case.schema.json"


def is_branch(part: int | str) -> bool:
    """Whether a part of pydantic's location names a branch of a union, which the reader has not written."""
    return part in ("str", "Unknown", "constrained-str") or str(part).startswith(("function-", "tagged-union"))


def values_in(fault: Mapping[str, Any]) -> list[str]:
    """The values that an enumeration has."""
    expected = str((fault.get("ctx") or {}).get("expected", ""))
    return [value.strip().strip("'") for value in expected.replace(" or ", ", ").split(",") if value.strip()]


def fields_of(loc: Iterable[str]) -> Iterator[str]:
    """The fields that the record at a location has."""
    model: Any = Case
    for name in loc:
        model = RECORDS.get(name, model)
    yield from model.model_fields


def nearest(name: str, right: list[str]) -> str:
    """The right names nearest to a wrong one; all of them when none is near."""
    close = difflib.get_close_matches(name, right, n=3, cutoff=0.5)
    if close:
        return "; did you mean " + " or ".join(repr(one) for one in close) + "?"
    return "; it has " + ", ".join(right[:14]) if right else ""


def dangling(case: Case) -> Iterator[str]:
    """A line for every reference that leads nowhere."""
    for ident, place in case.places.items():
        for caller in place.called_from:
            yield from missing(f"places.{ident}.called_from", caller, case.places, "place")
    for ident, act in case.acts.items():
        where = f"acts.{ident}"
        yield from missing(f"{where}.place", act.place, case.places, "place")
        yield from missing(f"{where}.block", act.block, case.blocks, "block")
        for other in act.after:
            yield from missing(f"{where}.after", other, case.acts, "act")
    for ident, symptom in case.symptoms.items():
        yield from missing(f"symptoms.{ident}.place", symptom.place, case.places, "place")
    for ident, ask in case.asks.items():
        for about in ask.about:
            yield from about_nothing(f"asks.{ident}.about", about, case)


def wrong_values(case: Case) -> Iterator[str]:
    """A line for every fact that facts.yaml has, told with a value that it has not."""
    for part in ("blocks", "places", "acts"):
        for ident, record in getattr(case, part).items():
            for name, fact in record.facts.items():
                yield from wrong_value(f"{part}.{ident}.facts.{name}", name, fact)
    for ident, block in case.blocks.items():
        if block.pool is not None:
            yield from wrong_value(f"blocks.{ident}.pool", "memory.pool", block.pool)


def wrong_value(where: str, name: str, fact: Fact) -> Iterator[str]:
    """A line when a fact's values are listed and this is none of them."""
    term = load_terms().facts.get(name)
    if term is not None and term.values and fact.text not in term.values:
        yield f"{where}: {fact.text!r} is not one of its values{nearest(fact.text, list(term.values))}"


def missing(where: str, ident: str | None, part: Mapping[str, Any], what: str) -> Iterator[str]:
    """A line when an id is not in a part of the Case."""
    if ident is not None and ident not in part:
        yield f"{where}: there is no {what} {ident!r}{nearest(ident, list(part))}"


def about_nothing(where: str, about: str, case: Case) -> Iterator[str]:
    """A line when an ask is about something that the Case does not have."""
    if about == "case" or ":" in about:
        return
    head = about.split(".", 1)[0].split("[", 1)[0]
    ids = [ident for part in PARTS for ident in getattr(case, part)]
    if head not in ids:
        yield f"{where}: there is no block, place, act or symptom {about!r}{nearest(head, ids)}"
