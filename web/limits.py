"""How long a question may be, told in words."""

from __future__ import annotations

import re

MAX_PROSE = 4000  # characters
MAX_CODE = 12_000  # characters, when code is pasted
CODE = re.compile(r"```|[;{}]\s*$", re.MULTILINE)


def too_long(text: object) -> str:
    """
    What is wrong with a question's length.

    Args:
        text: What was typed.

    Returns:
        One sentence with the cure; empty when the length is fine.
    """
    if not isinstance(text, str) or not text.strip():
        return "Type a question first."
    size, most = len(text), MAX_CODE if CODE.search(text) else MAX_PROSE
    if size <= most:
        return ""
    what = "code" if most == MAX_CODE else "a question"
    return f"That is {size:,} characters; {what} may have {most:,}. Shorten it" + (" to the function in question." if most == MAX_CODE else ".")
