"""Text in, words out: the tokens of a text, and the record of what some of them name."""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = re.compile(r"0x[0-9a-fA-F]+|%[a-zA-Z]{1,3}|!?[A-Za-z_]\w*(?:::\w+)*(?:'[a-z]{1,2}\b)?|\d+(?:\.\d+)*|<=|>=|==|!=|[^\s\w]")


@dataclass(frozen=True)
class Token:
    """One word or sign of the text."""

    text: str
    word: str
    """Normalized: lower case, singular, no possessive."""
    start: int
    end: int


@dataclass(frozen=True)
class Mention:
    """Words of the text that name something known."""

    kind: str
    """`row`, `fact`, `irql`, `ddi` or `unknown_name`."""
    table: str
    """Table of a row, name of a fact; empty else."""
    value: str
    """Row id, fact value, level, or DDI name."""
    first: int
    last: int
    """Tokens first to last, inclusive."""
    words: str
    clause: int = 0
    negated: bool = False
    corrected: bool = False
    """Whether the words were misspelt."""


def singular(word: str) -> str:
    """A word without plural or possessive ending; short words and words in -ss stay."""
    word = word.lower().removesuffix("'s").rstrip("'")
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) and "_" not in word:
        return word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]
    return word


def tokenize(text: str) -> list[Token]:
    """
    Split text into words and signs.

    Args:
        text: Any text.

    Returns:
        Tokens in order; hyphens between words are dropped, so `post-op` is two words.
    """
    tokens = []
    text = re.sub(r"(?<!\w)[-/]D(?=[A-Z_]{3})", "  ", text)  # a definition handed to the compiler, -DPOOL_NX_OPTIN=1
    text = re.sub(r"(?<=\w)\(\s*\)", lambda found: " " * len(found.group()), text)  # KeSetEvent() is KeSetEvent
    for found in TOKEN.finditer(re.sub(r"\bnever, ever\b", "never ever", text, flags=re.I)):
        piece = found.group()
        if piece in '-*`"' or piece == "\u2011":
            continue
        tokens.append(Token(piece, singular(piece), found.start(), found.end()))
    return tokens
