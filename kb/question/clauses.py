"""Words and mentions in, clauses out: which words belong together, and which mentions their clause denies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kb.question.words import Mention, Token

NEGATION_REACH = 6  # words between a negation and what it denies, within one clause
LIST_WORDS = {",", "or", "nor", "and", "a", "an", "the", "any", "in", "under", "by", "from", "at", "/", "my", "of"}
BREAKS = {".", "?", "!", ";", ":", ",", "but", "however", "although", "then", "(", ")", "->", "whereas", "because"}


def clauses(tokens: list[Token]) -> list[int]:
    """
    Number the clause of each token.

    Args:
        tokens: From `tokenize`.

    Returns:
        One number a token, rising.
    """
    numbers, current = [], 0
    for at, token in enumerate(tokens):
        if token.text in BREAKS or token.word in BREAKS:
            current += 1
        elif token.word == "and" and at + 1 < len(tokens) and tokens[at + 1].word in ("then", "it", "the", "i", "we", "my", "our", "only", "free", "touch", "read", "a", "call"):
            current += 1
        elif token.word == "so" and at + 1 < len(tokens) and tokens[at + 1].word in ("can", "could", "may", "is", "are", "should", "i", "we", "the", "my"):
            current += 1
        numbers.append(current)
    return numbers


def scoped(mentions: Iterable[Mention], numbers: list[int], negations: list[tuple[int, int]], tokens: list[Token]) -> list[Mention]:
    """
    Give each mention its clause and whether the clause negates it.

    Args:
        mentions: From `Vocabulary.find`.
        numbers: From `clauses`.
        negations: First and last tokens of negation cues.
        tokens: The text.

    Returns:
        The mentions, completed.
    """
    out: list[Mention] = []
    for mention in mentions:
        clause = numbers[mention.first]
        negated = False
        for first, last in negations:
            if numbers[first] != clause or last >= mention.first:
                continue
            asking = first == 0 or numbers[first - 1] != clause
            if asking and tokens[first].word.endswith("n't") or tokens[first].word in ("can't", "isn't", "aren't", "doesn't", "don't") and asking:
                continue  # "isn't paged pool fine?" asks, it does not deny
            reach = 2 if tokens[last].word in ("of", "than") else NEGATION_REACH  # "instead of X" denies X alone
            if tokens[first].word == "not" and first >= 2 and tokens[first - 1].word in ("it", "they", "that") and tokens[first - 2].word in ("is", "are", "wa", "do", "does"):
                continue  # "is it not the case that ..." asks
            if {token.word for token in tokens[last + 1 : mention.first]} & {"except", "besides", "other"}:
                continue  # "nobody except the DPC reads it"
            if mention.first - last <= reach:
                negated = True
        before = next((one for one in reversed(out) if one.last < mention.first), None)
        if before is not None and before.negated and not negated:
            between = {token.word for token in tokens[before.last + 1 : mention.first]}
            negated = between <= LIST_WORDS  # "never by a DPC, ISR, completion routine or under a lock" denies the whole list
        out.append(replace(mention, clause=clause, negated=negated))
    return out
