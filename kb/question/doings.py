"""Cues of acts in, those that happen to the memory out: not what is denied, and not a routine that is only queued or signaled."""

from __future__ import annotations

from kb.question.reading import Reading

FACTUAL = frozenset("never nobody nothing not don't doesn't isn't aren't won't didn't dont doesnt isnt neither nor without longer".split())
MODAL = {"can", "may", "must", "should", "could", "might", "would", "it", "that"}  # "may not touch" forbids, "is it not ..." asks
OTHERS = {"else", "except", "besides", "beside", "other", "only", "just"}  # "nobody else reads it" denies others
DENIED_NEAR = 4  # words between a denial and the act it denies
HANDING = frozenset("queue queued queuing queueing schedule scheduled insert signal set start arm kick fire wake trigger spawn launch post raise".split())
BETWEEN = frozenset("a an the its my our another one off up kernel system custom second new periodic timer threaded".split())
SIGNALED = {"timer", "ktimer", "event", "kevent", "semaphore", "thread", "dpc", "apc"}
HANDED = frozenset("context parameter argument pass passe passed passing hand handed give given fill filled carry payload along".split())


def handings(reading: Reading) -> list[tuple[int, int]]:
    """Where the text says that a routine is only queued or something signaled: the verb, and the first token of what: `queues a work item`, `sets the timer`."""
    routines = {one.first for one in reading.rows("routines", negated=True)}
    ends = {one.last + 1: one for one in reading.rows("routines", negated=True)}
    found = []
    for at, token in enumerate(reading.tokens):
        if token.word not in HANDING or at and reading.tokens[at - 1].word in BETWEEN | {"this", "that", "per"}:
            continue
        if at in ends:  # "the work item that the DPC queues"
            relative = ends[at].first - 1
            while relative > 0 and reading.tokens[relative].word in BETWEEN:
                relative -= 1
            if relative in ends and reading.tokens[relative].word in ("that", "which"):
                found.append((at, ends[relative].first))
                continue
        target = at + 1
        while (
            target < len(reading.tokens) and target not in routines and reading.tokens[target].word not in SIGNALED and reading.tokens[target].word in BETWEEN and target - at < 4
        ):
            target += 1
        if target < len(reading.tokens) and target > at and (target in routines or reading.tokens[target].word in SIGNALED):
            found.append((at, target))
    return found


def happening(reading: Reading) -> list[tuple[str, int, int]]:
    """The cues of acts without those that are denied and those that only queue a routine or signal an object: act, first and last token."""
    if "happening" not in reading.cue_cache:
        verbs = {verb for verb, _ in handings(reading)}
        denials = [last for _, first, last in reading.cues("negation") if reading.tokens[last].word in FACTUAL and states(reading, first)]
        reading.cue_cache["happening"] = [
            (key, first, last)
            for key, first, last in reading.cues("acts")
            if not verbs & set(range(first, last + 1)) and not any(denied(reading, denial, first) for denial in denials)
        ]
    return reading.cue_cache["happening"]


def states(reading: Reading, negation: int) -> bool:
    """Whether a negation states that something does not happen, rather than asks or forbids: not `doesn't it ...?`, not `may not`."""
    word, begins = reading.tokens[negation].word, negation == 0 or reading.numbers[negation - 1] != reading.numbers[negation]
    return not (word.endswith("n't") and begins) and not (word == "not" and negation and reading.tokens[negation - 1].word in MODAL)


def denied(reading: Reading, denial: int, act: int) -> bool:
    """Whether a denial reaches an act of its clause."""
    between = {token.word for token in reading.tokens[denial + 1 : act]}
    return 0 < act - denial <= DENIED_NEAR and reading.numbers[denial] == reading.numbers[act] and not between & OTHERS
