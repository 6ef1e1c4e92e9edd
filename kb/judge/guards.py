"""A guard in the code's words in, the levels at which what it guards can run out."""

from __future__ import annotations

import re

from kb.terms import LEVELS

COMPARED = re.compile(r"(==|<=|>=|<|>)\s*(" + "|".join(LEVELS) + r")\b")
BEFORE = re.compile(r"\b(" + "|".join(LEVELS) + r")\s*(==|<=|>=|<|>)")
MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "=="}


def guarded_levels(guard: str) -> tuple[str, str] | None:
    """
    The range of levels that a comparison of the IRQL leaves.

    Args:
        guard: Such as `KeGetCurrentIrql() < DISPATCH_LEVEL`.

    Returns:
        Lowest and highest level; None when the guard says nothing of the IRQL.
    """
    if "irql" not in guard.lower():
        return None
    found = [(sign, level) for sign, level in COMPARED.findall(guard)]
    found += [(MIRRORED[sign], level) for level, sign in BEFORE.findall(guard)]
    low, high = 0, len(LEVELS) - 1
    for sign, level in found:
        at = LEVELS.index(level)
        if sign in ("<", "<=", "=="):
            high = min(high, at - (sign == "<"))
        if sign in (">", ">=", "=="):
            low = max(low, at + (sign == ">"))
    return (LEVELS[low], LEVELS[high]) if found and low <= high else None
