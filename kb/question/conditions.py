"""A routine's documented conditions and a text in, the one condition out that the text states."""

from __future__ import annotations

import re

from rapidfuzz.distance import DamerauLevenshtein

from kb.question.bystanders import sentences
from kb.question.reading import Reading
from kb.question.words import singular, tokenize

FAMILY = 8  # letters that the members of an enumeration begin with in common
CONDITION_STOP = set("the a an is are of in on if when or and to be for with that by not no another other value object state call called caller it its set from".split())


def said_condition(reading: Reading, name: str) -> str:
    """The documented condition of a routine's rows that the text's own words state, when exactly one is; else empty."""
    ddi = reading.ddi_table.find(name)
    rows = [row for row in ddi.rows if row.condition and not row.when and row.source != "header"] if ddi is not None else []
    unsure = [at for _, at, _ in reading.cues("unsure")]
    open_words = {at for first, last in sentences(reading.tokens) if any(first <= one <= last for one in unsure) for at in range(first, last + 1)}
    kept = [
        token.text
        for at, token in enumerate(reading.tokens)
        if at not in open_words and token.text not in reading.ddi_table and not (at >= 2 and reading.tokens[at - 1].word in ("of", "than") and reading.tokens[at - 2].word in ("instead", "rather"))
    ]
    return matching_condition([str(row.condition) for row in rows], kept)


def matching_condition(conditions: list[str], words: list[str]) -> str:
    """
    The one condition whose distinctive words stand in the text.

    Args:
        conditions: Conditions in words, of one routine.
        words: The text's words.

    Returns:
        The condition; empty when none or several match. An identifier of the same family (FLT_PREOP_xxx) that no condition names
        matches the condition that speaks of another value.
    """
    rest = [one for one in conditions if re.search(r"\b(another|other)\b", one)]
    names = {name for condition in conditions for name in condition_words(condition)[0]}
    camel = {word for word in words if re.fullmatch(r"(?:[A-Z][a-z0-9]+){3,}", word)}
    if len(rest) == 1 and not names & {singular(word) for word in camel} and any(shared_start(word.lower(), name) >= FAMILY for word in camel for name in names):
        return rest[0]  # `WdfIoTargetCancelSentIo` where a condition names `WdfIoTargetLeaveSentIoPending`
    stems = [singular(word) for word in words]
    for handle in (word.lower() for word in words if len(word) > FAMILY and word.isupper()):  # a handle type runs the words together: `WDFCOMMONBUFFER`
        for condition in conditions:
            content = [token.word for token in tokenize(condition) if token.text.isalpha()]
            stems += [word for pair in zip(content, content[1:], strict=False) if "".join(pair) in handle for word in pair]
    long = {word for condition in conditions for word in condition_words(condition)[1] if len(word) >= FAMILY and "_" not in word}
    stems = [next((one for one in sorted(long) if DamerauLevenshtein.distance(word, one) == 1), word) if len(word) >= FAMILY - 1 and word not in long else word for word in stems]
    found = []
    for number, condition in enumerate(conditions):
        others = [part for place, other in enumerate(conditions) if place != number for part in re.split(r"\bor\b", other)]
        if any(all(states_part(both, others, stems) for both in re.split(r",? and (?=no\b|not\b)", part)) for part in re.split(r"\bor\b", condition)):
            found.append(condition)
    if len(found) == 1:
        return found[0]
    if not found:
        families = {"_".join(name.split("_")[:2]) for condition in conditions for name in condition_words(condition)[0] if name.count("_") >= 2}
        family = any("_".join(word.lower().split("_")[:2]) in families for word in words if word.count("_") >= 2)
        letters = {name[0] for condition in conditions for name in condition_words(condition)[0] if re.fullmatch(r"[a-z]\d", name)}
        family = family or any(re.fullmatch(r"[A-Z]\d", word) and word[0].lower() in letters for word in words)
        rest = [one for one in conditions if re.search(r"\b(another|other|not)\b", one)]
        if family and len(rest) == 1:
            return rest[0]
    return ""


def states_part(part: str, others: list[str], stems: list[str]) -> bool:
    """Whether a text's words state one part of a condition, by words that the parts of the other conditions do not have."""
    said = set(stems)
    names, content = condition_words(part)
    negative = bool(re.search(r"\b(not|no)\b", part))
    rivals = [other for other in others if bool(re.search(r"\b(not|no)\b", other)) == negative]
    shared = set().union(*(condition_words(other)[1] for other in rivals)) if rivals else set()
    own = (names or content) - shared
    telling = own <= said and any(len(word) >= FAMILY for word in own)  # `contiguous?` says all that `contiguous memory` has of its own
    hit = bool(names) and names <= said or not names and bool(own & said) and (len(content & said) >= 0.6 * len(content) or telling)
    return hit and bool(own) and negative == near_negation(stems, own)


def shared_start(one: str, other: str) -> int:
    """How many letters two names begin with in common."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def condition_words(text: str) -> tuple[set[str], set[str]]:
    """Identifiers of a condition, and its content words, both normalized."""
    tokens = [token for token in tokenize(re.sub(r"`[^`]*`", " ", text)) if token.text[0].isalnum()]
    names = {token.word for token in tokens if "_" in token.text or re.search(r"[a-z][A-Z]|^[A-Z]+[0-9]", token.text)}
    return names, {token.word for token in tokens} - CONDITION_STOP


def near_negation(stems: list[str], wanted: set[str]) -> bool:
    """Whether a negation stands up to three words before one of the words, or one after it."""
    negations = {"not", "no", "without", "isn't", "don't", "doesn't", "never", "nothing"}
    for at, word in enumerate(stems):
        if word in wanted and (negations & set(stems[max(0, at - 3) : at]) or negations & set(stems[at + 1 : at + 3])):
            return True
    return False
