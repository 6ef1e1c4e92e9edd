"""Words and mentions in, clauses out: which words belong together, and which mentions their clause denies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from kb.question.words import Mention, Token

NEGATION_REACH = 6  # words between a negation and what it denies, within one clause
LIST_WORDS = frozenset(", or nor and a an the any in under by from at / my of".split())
LEVEL_STARTS = {"at", "in", "from", "on", "inside"}
SUBORDINATE = {"when", "while", "if", "as", "until", "whenever"}
VALUES = frozenset("zero 0 null true false set disabled enabled one 1 nonzero infinite given".split())
RELEASES = {"released", "release", "releasing", "dropped"}
PREPARED = frozenset("locked pinned probed released dropped lock pin release drop mapped unlocked".split())
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
        elif token.word == "even" and at + 1 < len(tokens) and tokens[at + 1].word in ("if", "though", "when"):
            current += 1
        elif token.word == "so" and at + 1 < len(tokens) and tokens[at + 1].word in ("can", "could", "may", "is", "are", "should", "i", "we", "the", "my"):
            current += 1
        numbers.append(current)
    return numbers


def scoped(mentions: Sequence[Mention], numbers: list[int], negations: list[tuple[int, int]], tokens: list[Token], acts: Collection[int] = ()) -> list[Mention]:
    """
    Give each mention its clause and whether the clause negates it.

    Args:
        mentions: From `Vocabulary.find`.
        numbers: From `clauses`.
        negations: First and last tokens of negation cues.
        tokens: The text.
        acts: Tokens that tell of memory being allocated, touched or freed.

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
            if mention.first - last <= reach and not ends_before(mention, last, tokens, acts) and denies(mention, first, last, numbers, tokens):
                negated = True
        before = next((one for one in reversed(out) if one.last < mention.first), None)
        if before is not None and before.negated and not negated:
            between = {token.word for token in tokens[before.last + 1 : mention.first]}
            ended = any(numbers[first] == clause and last < mention.first and ends_before(mention, last, tokens, acts) for first, last in negations)
            ended = ended or is_contrast(before, mention, mentions, tokens)
            negated = between <= LIST_WORDS and sort_of(before) == sort_of(mention) and not ended  # "never by a DPC, ISR, completion routine or under a lock" denies the whole list
        out.append(replace(mention, clause=clause, negated=negated))
    return out


def is_contrast(denied: Mention, mention: Mention, mentions: Sequence[Mention], tokens: Sequence[Token]) -> bool:
    """Whether what follows a denial takes its place: `not a DPC, a work item`, where a list would go on or end with `or`."""
    leading = [token.word for token in tokens[max(0, denied.first - 3) : denied.first]]
    rest = [token.word for token in tokens[denied.last + 1 :]]
    more = any(one.first > mention.last and sort_of(one) == sort_of(mention) for one in mentions)
    return "not" in leading and "," in rest[:1] and not more and not {"or", "nor", "and"} & set(rest)


def is_place(mention: Mention) -> bool:
    """Whether a mention says where something happens, rather than what memory or version it is."""
    return mention.kind == "irql" or mention.table in ("routines", "locks", "objects") or mention.kind == "ddi"


def sort_of(mention: Mention) -> str:
    """What a mention is one of: a place, or a value of its fact; a list denies things of one sort, so `before Windows 8, NonPagedPoolNx?` names the pool."""
    return "place" if is_place(mention) else {"pool_arguments": "memory.pool"}.get(mention.table, mention.table)


def ends_before(mention: Mention, last: int, tokens: list[Token], acts: Collection[int]) -> bool:
    """
    Whether what a negation denies ends before a mention, so that the mention is stated.

    `without a time-out at DISPATCH_LEVEL`, `APCs are not disabled when I call X at PASSIVE_LEVEL`, `must not be paged out while my ISR reads it`; but
    `not touched while the lock is held` denies the lock.
    """
    between = range(last + 1, mention.first)
    if any(at in acts and tokens[at].word not in VALUES for at in between):
        words = [tokens[at].word for at in between]
        start = next((at for at, word in enumerate(words) if word in SUBORDINATE), -1)
        return start > 0 and not any(at - last - 1 < start for at in acts if at in between)
    for at in between:
        if at == last + 1:
            continue
        word, before = tokens[at].word, tokens[at - 1].word
        if word in SUBORDINATE and before not in ("even", "ever", "only", "just") and is_place(mention):
            return True
        if word in LEVEL_STARTS and is_place(mention) and (tokens[last].word in ("without", "no") or before in VALUES):
            return True
    return False


def denies(mention: Mention, first: int, last: int, numbers: list[int], tokens: list[Token]) -> bool:
    """Whether a negation cue can deny this kind of thing: `after I release the lock in the DPC` and `pages locked before the DPC runs` leave the DPC."""
    words = {tokens[at].word for at in range(first, last + 1)}
    if mention.kind == "ddi" and words == {"no"} and last + 1 == mention.first and is_conclusion_asked(first, numbers, tokens):
        return False
    if words & RELEASES and "no" not in words:
        return mention.table in ("locks", "objects") or mention.kind == "ddi" or mention.first - last <= 2 and "dropped" in words
    if words == {"before"} and mention.table not in ("locks", "objects", "windows") and mention.kind != "ddi":
        told = {tokens[at].word for at in range(first) if numbers[at] == numbers[first]}
        return not told & PREPARED
    return True


def is_conclusion_asked(at: int, numbers: list[int], tokens: list[Token]) -> bool:
    """Whether a denial is a conclusion that the sentence asks about: `it runs at DISPATCH_LEVEL, so no X in it, right?` asks about X."""
    begins = next(token.word for token, number in zip(tokens, numbers, strict=True) if number == numbers[at] and token.text[0].isalnum())
    end = next((token.text for token in tokens[at:] if token.text in (".", "?", "!", ";")), "")
    return begins in ("so", "hence", "thus", "therefore") and end == "?"
