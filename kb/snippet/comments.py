"""Comments of a snippet in, what they say of a variable's memory out: `PCTX c = p; // POOL_FLAG_PAGED`, `// cache is from paged pool`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

REMARK = re.compile(r"//([^\n]*)|/\*(.*?)\*/", re.S)
ASSIGNED = re.compile(r"\b(\w+)\s*=\s*(\w*Alloc\w*\s*\([^\n]*)")
SAID = re.compile(r"\b(\w+)\s+(?:is|was|are|were|comes|came|come|lives|points|allocated|obtained|taken)\b([^\n]*)")
TARGET = re.compile(r"(\w+)\s*=(?!=)[^;=]*;?\s*$")
NONPAGED = re.compile(r"non[- ]?page", re.I)
PAGED = re.compile(r"\bpage(?:d|able)\b", re.I)
ARTICLES = {"it", "this", "that", "which", "there", "code", "memory", "everything"}


class Told(NamedTuple):
    """What a comment says: this variable points to memory of this pool."""

    variable: str
    pool: str
    line: int
    words: str
    here: bool
    """Whether it is said of the assignment on its own line, rather than of the variable throughout."""


def told_pools(code: str, pool_of: Callable[[str], str]) -> list[Told]:
    """
    Read the comments.

    Args:
        code: The snippet as pasted.
        pool_of: The pool that a POOL_TYPE or POOL_FLAGS value in a text selects, empty when it has none.

    Returns:
        One entry for each variable that a comment gives a pool, in order of the text.
    """
    found: list[Told] = []
    for remark in REMARK.finditer(code):
        text = remark.group(1) or remark.group(2) or ""
        line = code.count("\n", 0, remark.start()) + 1
        start = code.rfind("\n", 0, remark.start()) + 1
        for pattern, group in ((ASSIGNED, 2), (SAID, 2)):
            for one in pattern.finditer(text):
                pool = pool_in(one.group(group), pool_of)
                if pool and one.group(1).lower() not in ARTICLES:
                    found.append(Told(one.group(1), pool, line, one.group().strip(), False))
        target = TARGET.search(code[start : remark.start()].rstrip())
        pool = pool_in(text, pool_of)
        if target and pool and not any(one.line == line for one in found):
            found.append(Told(target.group(1), pool, line, text.strip(), True))
    return found


def pool_in(text: str, pool_of: Callable[[str], str]) -> str:
    """The pool that some words name: a value of an enumeration first, else `paged` or `nonpaged`; empty when they name none or deny it."""
    named = pool_of(text)
    if named or re.search(r"\b(not|never|no)\b", text):
        return named
    return "nonpaged" if NONPAGED.search(text) else "paged" if PAGED.search(text) else ""
