"""Levels named in, IRQL ranges out: each a place, or a claim about a routine."""

from __future__ import annotations

from kb.question.calls import calls_in
from kb.question.reading import Reading
from kb.question.words import Mention
from kb.terms import LEVELS, rank

ASKING = frozenset("is are do does doe can will may what which at in should would".split())  # first words of a question about a level


def level_ranges(reading: Reading) -> list[tuple[Mention, str, str, bool]]:
    """IRQLs named: mention, lowest, highest, and whether it is a claim about a routine rather than a place."""
    ups = [(first, last) for _, first, last in reading.cues("irql_up_to")]
    froms = [(first, last) for _, first, last in reading.cues("irql_from")]
    claims = [(first, last) for _, first, last in reading.cues("claim")]
    found = []
    unsure = reading.unsure_clauses()
    levels = [one for one in reading.mentions if one.kind == "irql"]
    asked = set()
    joined: dict[int, list[str]] = {}
    for one, other in zip(levels, levels[1:], strict=False):
        if one.value != other.value and {token.word for token in reading.tokens[one.last + 1 : other.first]} & {"or", "/"}:
            if are_told(reading, one, other):
                joined[one.first] = sorted((one.value, other.value), key=rank)
                joined[other.first] = []
                continue
            asked |= {one.first, other.first}  # "passive or dispatch?" asks
    for one in reading.mentions:
        bound = compared_range(reading, one) if one.kind == "irql" and one.first not in asked and one.clause not in unsure else None
        if bound is not None:
            found.append((one, *bound, False))
            continue
        if one.kind != "irql" or one.negated or one.first in asked or one.clause in unsure:
            continue
        if any(last < one.first <= last + 3 and reading.numbers[first] == one.clause and not is_example(reading, first) and not is_own_need(reading, first) for _, first, last in reading.cues("quoting")):
            continue  # "the page says <= APC_LEVEL" quotes, it places nothing
        level = one.value
        low = high = level
        if one.first in joined:
            if joined[one.first]:
                found.append((one, joined[one.first][0], joined[one.first][1], False))
            continue
        said = {reading.tokens[at].word for at in range(one.first, one.last + 1)}
        before = range(max(0, one.first - 3), one.first)
        if said & {"below", "<", "less", "under"} or any(last in before or (one.last < first <= one.last + 3) for first, last in ups):
            low = "PASSIVE_LEVEL"
        elif any(last in before or (one.last < first <= one.last + 3) for first, last in froms):
            high = "HIGH_LEVEL"
        elif said & {"above", "greater", "higher"}:
            high = level
        claim = any(last in range(max(0, one.first - 4), one.first + 1) and reading.numbers[first] == one.clause for first, last in claims)
        claim = claim or bool(said & {"alway", "always", "guaranteed"})
        leaning = {reading.tokens[at].word for at in range(max(0, one.first - 2), one.first)}
        if "like" in leaning or leaning >= {"as", "good"} or {"same", "as"} <= leaning:
            continue  # "all APCs are off, so it's like DISPATCH" compares
        if (
            one.first == one.last
            and reading.tokens[one.first].word in ("passive", "dispatch")
            and not reading.tokens[one.first].text.isupper()
            and not leaning & {"at", "=", "irql", "in", "is", "are", "or", "alway", "be", "from", "to", "and", "then", "a", "only", "purely", "strictly", "still", "now"}
        ):
            if not (one.first and reading.tokens[one.first - 1].text in (",", "?", ":", "(")) and one.first:
                continue  # "we dispatch requests", "the passive voice"
        if said == {"high", "level"} and one.words == one.words.lower() and not leaning & {"at", "=", "irql", "is", "to", "from", "or"}:
            continue  # "a high level overview"
        if said & {"any", "every"}:
            low = "PASSIVE_LEVEL"
        if said & {"above"} and one.first and reading.tokens[one.first - 1].word == "or":
            low, high = LEVELS[max(0, rank(level) - 1)], "HIGH_LEVEL"  # "at or above DISPATCH_LEVEL" includes it
        if level == "PASSIVE_LEVEL" and leaning & {"above", "over", ">", "than"}:
            continue  # "above PASSIVE_LEVEL" leaves the level open
        if any(call.clause == one.clause and call.last < one.first for call in calls_in(reading)) and not any(
            row.clause == one.clause and row.last < one.first for row in reading.rows("routines")
        ):
            claim = False  # "can X be called at DISPATCH_LEVEL" asks of the call there
        following = {token.word for token in reading.tokens[one.last + 1 : one.last + 4]}
        leading = {token.word for token in reading.tokens[max(0, one.first - 8) : one.first]}
        concluded = {token.word for at, token in enumerate(reading.tokens[: one.first]) if reading.numbers[at] == one.clause} & {
            "hence",
            "thus",
            "therefore",
            "consequently",
            "ergo",
        }
        if concluded or "so" in following or leading & {"since", "because"} and level in ("PASSIVE_LEVEL", "APC_LEVEL"):
            claim = True  # "FilterOidRequest at passive, so ..." is a premise, to be compared with what is documented
        alone = one.first == one.last and reading.tokens[one.first].word in ("passive", "dispatch")
        if alone and not {reading.tokens[at].word for at in before} & {"at", "=", "irql", "in"}:
            claim = True  # "is it passive?", "then passive too": said of the routine, not a place
        found.append((one, low, high, claim))
    return found


def are_told(reading: Reading, one: Mention, other: Mention) -> bool:
    """Whether two levels joined by `or` are told as the range where something happens: `either at PASSIVE_LEVEL or at DISPATCH_LEVEL, which pool ...?`."""
    inside = [at for at, number in enumerate(reading.numbers) if number == one.clause]
    words = [reading.tokens[at].word for at in inside if reading.tokens[at].text[0].isalnum()]
    after = reading.tokens[other.last + 1].text if other.last + 1 < len(reading.tokens) else "."
    if "whether" in words or other.clause != one.clause or after == "?" or words and words[0] in ASKING - ({"at"} if "either" in words else set()):
        return False
    return "either" in words[:-1] or bool({"run", "call", "called", "invoked", "execute", "executes", "happen", "arrive", "come"} & set(words[: one.first - inside[0]]))


def is_example(reading: Reading, at: int) -> bool:
    """Whether a word stands for `for example`: `..., say at APC_LEVEL`."""
    return reading.tokens[at].word == "say" and at > 0 and reading.tokens[at - 1].text == ","


def is_own_need(reading: Reading, at: int) -> bool:
    """Whether `need` is what the asker wants rather than what a page demands: `we need it at DISPATCH_LEVEL`."""
    return reading.tokens[at].text.lower() == "need" and at > 0 and reading.tokens[at - 1].word in ("i", "we")


def compared_range(reading: Reading, mention: Mention) -> tuple[str, str] | None:
    """
    The range that a comparison before a level states: `> APC_LEVEL`, `lower than DISPATCH_LEVEL`, `not above APC_LEVEL`.

    Returns:
        Lowest and highest; None when no comparison stands there, or it is part of the level's own phrase and not denied.
    """
    words = [token.word for token in reading.tokens[max(0, mention.first - 4) : mention.first]]
    said = {reading.tokens[at].word for at in range(mention.first, mention.last + 1)}
    last, before = (words[-1] if words else ""), (words[-2] if len(words) > 1 else "")
    denied = bool({"not", "never", "nothing", "no", "doesn't", "isn't"} & set(words[-3:]))
    level = rank(mention.value)
    if denied and said & {"above", "greater", "higher"}:
        return "PASSIVE_LEVEL", LEVELS[max(0, level - 1)]
    if said & {"above", "below", "greater", "higher", "less", "under", "<"}:
        return None  # the phrase's own level has it already
    above = last in (">", "above", "over") or last == "than" and before in ("higher", "greater", "more")
    below = last in ("<", "below", "under", "beneath") or last == "than" and before in ("lower", "less")
    if above and not (before == "or" or "or" in words[-2:]):
        if denied:
            return "PASSIVE_LEVEL", mention.value
        return None if level == 0 else (LEVELS[min(level + 1, 4)],) * 2
    if below and level > 0 and "or" not in words[-2:]:
        return (mention.value, mention.value) if denied else ("PASSIVE_LEVEL", LEVELS[level - 1])
    return None
