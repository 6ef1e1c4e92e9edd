"""Prose in, the spans of it out that are not about the code asked about: what others are quoted as saying, and what is said of other things."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kb.question.words import Token

QUOTED = re.compile(r"(?<!\w)(['\"\u2018\u201c])(?=\S)((?:(?!\1)[^\n]|(?<=\w)'(?=\w)){16,400}?)(?<=\S)['\"\u2019\u201d](?!\w)")
CODE = re.compile(r"[;{}=]|->|\w\(\w*[,)]")
FEWEST = 4  # words of a quotation; less is a name or a value
SAYING_NEAR = 3  # words from who speaks to the verb
TAG = 4  # words of a question that is tagged on: `..., is he right?`
SPEAKER_NEAR = 14  # words before a quotation in which its speaker is named
TRIGGERS = ("calls", "invokes", "triggers", "fires")
DRAGS = {"drag", "pull", "bring", "lift", "raise", "push", "force", "elevate", "inherit"}
ENDS = (".", "?", "!", ";")


def quotations(prose: str, tokens: Sequence[Token], speaking: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """
    Tokens that repeat what somebody else says of the code: `reviewer complains 'timer callbacks are DPCs, nonpaged!'`.

    Args:
        prose: The text without pasted code.
        tokens: Its words.
        speaking: First and last tokens of the cues that somebody speaks.

    Returns:
        First and last token of each quotation.
    """
    found = []
    for quoted in QUOTED.finditer(prose):
        inside = [at for at, token in enumerate(tokens) if quoted.start() < token.start < quoted.end()]
        if len(inside) >= FEWEST and not CODE.search(quoted.group(2)) and any(0 < inside[0] - last <= SPEAKER_NEAR for _, last in speaking):
            found.append((inside[0], inside[-1]))
    return found


def hearsay(tokens: Sequence[Token], speakers: Sequence[tuple[int, int]], speaking: Sequence[tuple[int, int]], judging: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """
    Opinions of others that are told without quotation marks: `our lint says cleanup callbacks may be at dispatch, so the free is a bug`.

    What somebody merely reports (`our hardware team says the ISR reads it`) is a fact like any other; an opinion has a word that judges.

    Args:
        tokens: The words.
        speakers: First and last tokens of those whose word is only an opinion; not documentation.
        speaking: First and last tokens of the cues that somebody speaks.
        judging: First and last tokens of the words that judge.

    Returns:
        First and last token of each, from who speaks to the end of the sentence, to `but`, or to a short question that is tagged on.
    """
    found = []
    for start, end in sentences(tokens):
        for first, last in speakers:
            verb = next((at for at, _ in speaking if start <= first and last < at <= min(last + SAYING_NEAR, end) and not any(one[0] == at for one in speakers)), 0)
            if not verb:
                continue
            stop = next((at - 1 for at in range(verb, end) if tokens[at].word in ("but", "however", "though") or tokens[at].text in ENDS), end)
            if stop == end and tokens[end].text == "?":
                stop = next((at - 1 for at in range(end, verb, -1) if tokens[at].text in ",:" and end - at - 1 <= TAG), verb)
            if any(verb < at <= stop for at, _ in judging):
                found.append((first, stop if tokens[stop].text not in ENDS else stop - 1))
                break
    return found


def consequences(tokens: Sequence[Token], callers: Sequence[int], calls: Sequence[int]) -> list[tuple[int, int]]:
    """
    Sentences that tell who triggers the routine asked about, and ask whether its level follows: `But the DPC calls X at DISPATCH_LEVEL - does that drag Y up?`.

    A routine whose level is documented has that level whoever makes the system call it.

    Args:
        tokens: The words.
        callers: Last tokens of the routines named.
        calls: First tokens of the documented routines named.

    Returns:
        First and last token of each such sentence, the first of the text left out: it tells where all of this is.
    """
    found = []
    for start, end in sentences(tokens)[1:]:
        told = [at for at in callers if start < at < end - 2 and tokens[at + 1].text.lower() in TRIGGERS and at + 2 in calls]
        after = [token.word for token in tokens[told[0] : end]] if told else []
        follows = [word for word, then in zip(after, after[1:], strict=False) if word in ("doe", "does", "would", "will") and then in ("that", "this", "it")]
        if follows and set(after) & DRAGS and tokens[end].text == "?":
            found.append((start, end))
    return found


def sentences(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """First and last token of each sentence."""
    found, first = [], 0
    for at, token in enumerate(tokens):
        if token.text in ENDS or at == len(tokens) - 1:
            found.append((first, at))
            first = at + 1
    return found


def asides(tokens: Sequence[Token], cues: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """
    Sentences that speak of another thing than the one asked about: `the send path has its own struct, no question there`.

    Args:
        tokens: The words.
        cues: First and last tokens of the cues for it.

    Returns:
        First and last token of each such sentence that does not ask.
    """
    return [(first, last) for first, last in sentences(tokens) if tokens[last].text != "?" and any(first <= at <= last for at, _ in cues)]


def other_parts(tokens: Sequence[Token], cues: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """
    Sentences that say of one part of a structure in which pool it is, where another part is asked about.

    `The record itself is nonpaged because it is linked under a spin lock. The text it points to is ... May the text be paged?`

    Args:
        tokens: The words.
        cues: First and last tokens of the cues for it, each after the part's name.

    Returns:
        First and last token of each such sentence: what is asked is named, is told of elsewhere, and is not that part.
    """
    if not cues:
        return []
    spans = sentences(tokens)
    asking = [span for span in spans if tokens[span[1]].text == "?"] or spans[-1:]  # without a question mark the last sentence asks
    asked = [token.word for start, end in asking for token in tokens[start : end + 1]]
    named = {after for word, after in zip(asked, asked[1:], strict=False) if word in ("the", "its", "their", "these", "those")}
    found = []
    for first, last in spans:
        part = next((tokens[at - 1].word for at, _ in cues if first < at <= last), "")
        if not part:
            continue
        told = {token.word for start, end in spans if (start, end) not in ((first, last), *asking) for token in tokens[start : end + 1]}
        if (first, last) not in asking and named & told and part not in asked:
            found.append((first, last))
    return found


def without(tokens: list[Token], spans: Sequence[tuple[int, int]], enough: Callable[[list[Token]], bool]) -> tuple[list[Token], list[tuple[int, int]]]:
    """
    Take bystanders out.

    Args:
        tokens: The words.
        spans: First and last token of what may be taken out.
        enough: Whether the words that are left still ask something.

    Returns:
        The words that are left, and the spans that were taken out: each unless the rest would no longer be enough.
    """
    taken: list[tuple[int, int]] = []
    left = tokens
    for span in sorted(spans):
        rest = [token for at, token in enumerate(tokens) if not any(first <= at <= last for first, last in (*taken, span))]
        if enough(rest):
            taken.append(span)
            left = rest
    return left, taken
