"""A text in, its prose and the code pasted into it out."""

from __future__ import annotations

import re

FENCE = re.compile(r"```[a-zA-Z+]*\n?(.*?)(?:```|\Z)", re.S)
CODE_LINE = re.compile(r"^\s*(?:[\w*]+\s+)*[\w>.\-*\[\]]+\s*(?:=|\().*;\s*(?://.*)?$", re.M)


def apart(text: str) -> tuple[str, tuple[str, ...]]:
    """
    Take prose and code apart.

    Args:
        text: What the user typed.

    Returns:
        The prose, and the snippets: what stands in fences, else the lines that look like C when there are at least two.
    """
    snippets = tuple(found.group(1).strip("\n") for found in FENCE.finditer(text))
    if snippets or len(CODE_LINE.findall(text)) < 2:
        return FENCE.sub(" . ", text), snippets
    lines = text.splitlines()
    code = [line for line in lines if CODE_LINE.match(line) or re.match(r"\s*[{}#]", line) or "//" in line]
    return "\n".join(line for line in lines if line not in code), ("\n".join(code),)
