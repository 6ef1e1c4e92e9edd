"""A Case and a JSON Patch (RFC 6902) in, the changed Case out; and the patch that leads from one Case to another."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jsonpatch
import jsonpointer

from kb.case.load import CaseError, read_case
from kb.case.records import Case

Operation = Mapping[str, Any]


def apply_patch(case: Case, patch: Sequence[Operation]) -> Case:
    """
    Change a Case; nothing else does.

    Args:
        case: Unchanged by this.
        patch: Operations of RFC 6902 on the JSON form. A part that is not there yet need not be added first.

    Returns:
        The changed Case; a new ask stands where its id puts it (q2 before q10), so that an undone removal restores the order.

    Raises:
        CaseError: An operation is malformed, its path leads nowhere, or what comes of it is no Case.
    """
    document = case.to_json()
    before = list(document.get("asks", {}))
    for number, operation in enumerate(patch):
        try:
            make_room(document, operation)
            document = jsonpatch.apply_patch(document, [dict(operation)])
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, ValueError, KeyError) as error:
            raise CaseError(f"patch[{number}]: {' '.join(str(error).split())}; see RFC 6902 and the paths of the Case") from error
    if not isinstance(document, dict):
        raise CaseError("patch: it replaces the whole Case by something that is none")
    if "asks" in document:
        document["asks"] = in_order(document["asks"], before)
    return read_case(document)


def make_room(document: dict[str, Any], operation: Operation) -> None:
    """Add the empty maps on the way to what an operation adds: an empty field is left out of the JSON form."""
    if operation.get("op") != "add" or not isinstance(operation.get("path"), str):
        return
    steps = jsonpointer.JsonPointer(operation["path"]).parts
    here: Any = document
    for step in steps[:-1]:
        if isinstance(here, dict) and step not in here and step in ("blocks", "places", "acts", "symptoms", "asks", "environment", "facts", "args"):
            here[step] = {}
        if not isinstance(here, dict) or step not in here:
            return
        here = here[step]


def in_order(asks: Mapping[str, Any], before: Sequence[str]) -> dict[str, Any]:
    """The asks in the order they had, each new one before the first whose id comes after its own."""
    order = [ident for ident in before if ident in asks]
    for ident in asks:
        if ident not in order:
            after = next((place for place, other in enumerate(order) if natural(other) > natural(ident)), len(order))
            order.insert(after, ident)
    return {ident: asks[ident] for ident in order}


def natural(ident: str) -> tuple[tuple[int, str], ...]:
    """A key by which q2 comes before q10."""
    return tuple((int(piece), "") if piece.isdigit() else (0, piece) for piece in re.split(r"(\d+)", ident) if piece)


def between(old: Case, new: Case) -> list[dict[str, Any]]:
    """
    The patch that leads from one Case to another.

    Returns:
        Operations in a fixed order; empty when the Cases are equal.
    """
    made: list[dict[str, Any]] = list(jsonpatch.make_patch(ordered(old.to_json()), ordered(new.to_json())))
    return made


def inverse(case: Case, patch: Sequence[Operation]) -> list[dict[str, Any]]:
    """The patch that takes another back: from the Case that comes of *patch* to *case*."""
    return between(apply_patch(case, patch), case)


def ordered(value: Any) -> Any:
    """A JSON value with every map in the order of its keys, so that the same difference gives the same patch."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    return [ordered(one) for one in value] if isinstance(value, list) else value


def canonical(case: Case) -> bytes:
    """The Case as bytes: the same facts and asks give the same bytes, in whatever order they were told."""
    return json.dumps(case.to_json(), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
