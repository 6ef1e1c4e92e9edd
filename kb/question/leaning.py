"""A text after a question in, whether it leans on that question out, and what of it is taken back or not known."""

from __future__ import annotations

from collections.abc import Mapping

from kb.question.calls import calls_in, is_asked
from kb.question.reading import Reading
from kb.question.records import SUBJECT_FACTS, Question, Site

LONG = 28  # words up to which `it`, `there` or `and` lean on what was said before
SHORT = 16  # words up to which a text that is not complete in itself does
LEANING = {"fix", "solve", "avoid", "else", "instead", "otherwise", "cure", "repair"}  # "how do I fix it" leans on what was said, even without `it`
BEFORE_THAT = frozenset("in at under for with of from by is on to does doe can may use and or so but if what why hold inside about".split())


def is_follow_up(question: Question, reading: Reading) -> bool:
    """Whether the text leans on what was said before: it begins with `and`, `what about`, `mine`, uses `it` or `there`, or is short and incomplete."""
    if not reading.tokens:
        return False
    cues = [(key, first, last) for key, first, last in reading.cues("follow_up") if not is_relative(reading, first)]
    placed = any("routine" in use or "irql.highest" in use or "lock" in use for use in question.uses)
    if placed and question.asks_pool:
        cues = [(key, first, last) for key, first, last in cues if first == 0 or reading.tokens[first].word not in ("and", "but")]  # "that DriverEntry allocates and uses"
    words = {token.word for token in reading.tokens}
    if not cues and (question.ddis and reading.tokens[0].word in ("what", "which", "how") or question.kind == "howto" and not words & LEANING):
        return False  # "what does IoFreeMdl need?", "how do I find leaks?" stand alone
    if reading.cues("irql_question") and question.ddis and not any(first == 0 for _, first, _ in cues):
        return False
    if any(first == 0 for _, first, _ in cues) or cues and len(reading.tokens) <= LONG:
        return True
    raising = {first for _, first, _ in reading.cues("raising")}
    if calls_in(reading) and len(reading.tokens) <= SHORT and all(one.first in raising and not is_asked(reading, one) for one in calls_in(reading)):
        return True  # "raise with KeRaiseIrql(DISPATCH_LEVEL) first"
    handed = question.kind == "object_storage" and calls_in(reading) and any(use.get("act") == "touch" for use in question.uses)
    if handed and len(reading.tokens) <= SHORT:
        return True  # "the context I give IoQueueWorkItem": filled where the call is made, which was said before
    subject = any(name in use for use in question.uses for name in SUBJECT_FACTS)
    return len(reading.tokens) <= SHORT and not (placed and (subject or question.asks_pool))


def is_relative(reading: Reading, at: int) -> bool:
    """Whether `that` only joins a clause to its noun: `a buffer that DriverEntry allocates`, not `in that DPC`, `is that fine`."""
    if reading.tokens[at].word != "that" or at == 0 or at + 1 >= len(reading.tokens):
        return False
    before, after = reading.tokens[at - 1].word, reading.tokens[at + 1].word
    acting = any(first == at + 1 for _, first, _ in reading.cues("acts")) or any(one.first == at + 1 for one in reading.rows("routines", negated=True))
    return before not in BEFORE_THAT and before.isalpha() and (acting or after in ("i", "we", "my", "our", "the", "a", "only", "both", "is", "are", "run"))


def adds_nothing(question: Question, reading: Reading, sites: list[Site], bare: Mapping[str, str]) -> bool:
    """Whether a text names nothing that this program knows, so that it cannot change the question before it."""
    named = question.uses or question.ddis or question.rows or question.shared or question.windows or question.unknown_names or sites or bare
    return not (named or reading.mentions or reading.cues("unsure") or reading.cues("acts") or question.asks_pool)


def unknown_constants(reading: Reading, earlier: Question) -> list[str]:
    """Constants of a follow-up that no table knows and that were not spoken of before; one that is not set changes nothing."""
    denied = {reading.numbers[first] for _, first, _ in reading.cues("negation")}
    known = {at for one in reading.mentions for at in range(one.first, one.last + 1)}
    told = [at for at, token in enumerate(reading.tokens) if "_" in token.text and token.text.isupper() and token.text not in earlier.text]
    return [reading.tokens[at].text for at in told if at not in known and reading.numbers[at] not in denied]


def other_argument(reading: Reading, earlier: Question) -> bool:
    """Whether a follow-up names a constant that the question before did not: another argument, with which another case may hold."""
    return any("_" in token.text and token.text.isupper() and token.text not in earlier.text for token in reading.tokens)


def no_longer(reading: Reading) -> set[str]:
    """The routines that are told to touch the memory no more: `post-write no longer looks`, `the DPC doesn't touch it anymore`."""
    told = {number for token, number in zip(reading.tokens, reading.numbers, strict=True) if token.word in ("longer", "anymore")}
    return {one.value for one in reading.rows("routines", negated=True) if one.clause in told or one.first in reading.gone}
