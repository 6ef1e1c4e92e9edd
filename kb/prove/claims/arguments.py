"""An entry of arguments.yaml in, its claims out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kb.engine import Knowledge
from kb.prove.claims.claim import Claim, equals
from kb.prove.pages import Pages

NAMES = {
    "argument.wait": ("Wait", "ReleaseWait", "WaitForCompletion", "WaitForDelete", "Flags"),
    "wait.mode": ("WaitMode",),
    "wait.timeout": ("Timeout", "TimeOut"),
    "mapping": ("AccessMode",),
}
"""What the parameter is called that states a fact."""
SPELLED = {
    "TRUE": "true",
    "FALSE": "false",
    "KernelMode": "kernel",
    "UserMode": "user",
    "NULL": "nonzero",
    "nullptr": "nonzero",
    "PO_FX_FLAG_BLOCKING": "true",
    "PO_FX_FLAG_ASYNC_ONLY": "false",
    "0": "false",
}
"""What the literals mean: a wait without a time-out waits for ever, and flags of zero do not block."""


def position_claims(entry: Mapping[str, Any], knowledge: Knowledge, pages: Pages | None) -> Iterator[Claim]:
    """Position and values of an argument: the parameter there, on the page of the routine, is the one that states the fact."""
    ddi = knowledge.ddis.find(str(entry["ddi"]))
    where, fact, position = f"arguments/{entry['ddi']}", str(entry["fact"]), int(entry["position"])
    for literal, value in entry["values"].items():
        others = tuple(one for one in knowledge.terms.facts[fact].values if one != value)
        yield Claim(where, f"{fact} of {literal}", str(value), others, equals(SPELLED.get(str(literal), "")))
    if pages is None or ddi is None:
        return
    known = next((names for page in ddi.pages if (names := pages.parameters(page.page))), [])

    def carries(one: str) -> bool:
        at = int(one)
        return at < len(known) and at >= 0 and any(name.lower() in known[at].lower() for name in NAMES[fact])

    yield Claim(where, f"position of {fact}", str(position), (str(position + 1), str(position - 1)), carries)
