"""Mentions in, locks that are held out: named ones, those that a documented routine acquires, and whether an unnamed one is spoken of."""

from __future__ import annotations

from dataclasses import replace

from kb.question.calls import calls_in, is_asked, is_wait
from kb.question.reading import Reading
from kb.question.records import Use
from kb.question.words import Mention
from kb.terms import rank

HELD_NEAR = 6  # words between "holding" and the lock it governs
STRONG_HELD = ("under", "holding", "while", "inside", "within", "protected", "guarded", "held", "behind", "between", "owning", "hold", "with", "holds")

TAKING = frozenset("acquire acquired acquiring take took taking grab grabbed grabbing enter entered release released releasing drop dropped hold holding".split())


def held_locks(reading: Reading, subjects: set[int]) -> list[Mention]:
    """Locks and regions that are held where the acts happen; *subjects* are mentions asked about themselves."""
    held_cues = [(first, last) for _, first, last in reading.cues("held")]
    found = []
    calls = calls_in(reading)
    for one in reading.rows("locks") + acquiring_ddis(reading):
        if one.first in subjects:
            continue
        if any(one in waited_for(reading, call, calls) for call in calls):
            found.append(one)
            continue
        if one.first in reading.successors or meant_by_pronoun(reading, one) or taken_before(reading, one):
            found.append(one)
            continue
        touches = [first for key, first, _ in reading.cues("acts") if key == "touch" and first > one.last]
        if touches and released_after(reading, one, touches[0]):
            continue
        behind = {token.word for token in reading.tokens[one.last + 1 : one.last + 4]}
        ahead = {token.word for token in reading.tokens[max(0, one.first - 3) : one.first]}
        if (
            behind & {"released", "dropped", "removed", "gone"}
            and behind & {"is", "wa", "was", "been", "before"}
            or ahead & {"replaced", "replace", "removed", "dropped"}
            and "by" not in ahead
        ):
            continue
        if {token.word for token in reading.tokens[one.last + 1 : one.last + 3]} & {"around", "protect", "guard", "serialize", "cover"} or {"locked", "region"} & set(
            one.words.lower().split()
        ):
            found.append(one)
            continue
        if is_the_lock(reading, one):
            found.append(one)
            continue
        named = next((call for call in calls if call.first == one.first), None)
        if named is not None and is_held(reading, named, calls):
            found.append(one)
            continue
        if taken_after(reading, one):
            found.append(one)
            continue
        if any(one.first - HELD_NEAR <= last < one.first and reading.numbers[first] == one.clause for first, last in held_cues) or any(
            one.last < first <= one.last + 2 and reading.tokens[first].word in ("held", "hold", "taken", "acquired", "owned") for first, _ in held_cues
        ):
            found.append(one)
    return found


def taken_after(reading: Reading, mention: Mention) -> bool:
    """Whether the words after a lock tell how it is taken: `spin lock only ever taken at passive level around it`."""
    after = [token.word for token in reading.tokens[mention.last + 1 : mention.last + 6] if token.word not in ("only", "ever", "always", "just", "is", "are", "get", "gets", "being")]
    return after[:1] in (["taken"], ["held"], ["acquired"], ["grabbed"])


def loose_raising_lock(reading: Reading, uses: list[Use], subjects: list[tuple[str, str]]) -> bool:
    """
    Whether the text speaks of a lock that raises to DISPATCH_LEVEL or above and that no use is under, so that it may be held around the memory.

    A lock asked about itself, one that is denied, released or replaced, and one whose storage is asked is none.
    """
    held = {str(name) for use in uses for name in use.get("lock", ())}
    asked = {name for _, name in subjects}
    for one in reading.rows("locks"):
        row = reading.terms.row("locks", one.value)
        raised = row.more.get("held") if row is not None else None
        around = {token.word for token in reading.tokens[max(0, one.first - 4) : one.first]} | {token.word for token in reading.tokens[one.last + 1 : one.last + 5]}
        gone = around & {"released", "release", "dropped", "drop", "removed", "gone", "before", "after", "without", "no", "not", "never", "replaced", "instead", "used", "like"}
        if raised and rank(raised["lowest"]) >= rank("DISPATCH_LEVEL") and one.value not in held | asked and not gone:
            return True
    return False


def is_the_lock(reading: Reading, mention: Mention) -> bool:
    """Whether a mention tells which lock it is that is held: `the lock is a plain KSPIN_LOCK`."""
    told = [token.word for token in reading.tokens[max(0, mention.first - 4) : mention.first] if token.word not in ("a", "an", "just", "plain", "simple", "normal", "ordinary")]
    return told[-2:] in (["lock", "is"], ["lock", "wa"], ["lock", ":"], ["lock", "="])


def acquiring_ddis(reading: Reading) -> list[Mention]:
    """Documented routines that acquire a lock, as mentions of that lock."""
    found = []
    for one in reading.mentions:
        if one.kind == "ddi" and not one.negated and one.value.lower() in reading.vocabulary.acquirers:
            found.append(replace(one, kind="row", table="locks", value=reading.vocabulary.acquirers[one.value.lower()]))
    return found


def is_held(reading: Reading, mention: Mention, calls: list[Mention]) -> bool:
    """Whether an acquiring routine is named as what is held, rather than as what is asked about."""
    if mention.value.lower() not in reading.vocabulary.acquirers:
        return bool(waited_for(reading, mention, calls))
    if held_by_cue(reading, mention) and not is_asked(reading, mention):
        return True
    lock = reading.vocabulary.acquirers[mention.value.lower()]
    ends = [one.first for one in reading.mentions if one.kind == "ddi" and one.first > mention.last and reading.vocabulary.releasers.get(one.value.lower()) == lock]
    if ends and any(mention.last < one.first < ends[0] for one in calls):
        return True  # acquire, call, release: the call is made under the lock
    if (reading.speaks_of_pool() or reading.cues("pool_word")) and not is_asked(reading, mention):
        return True  # a question about memory names the lock that is held around it
    later = [one for one in calls if one.first > mention.last and one.value.lower() not in reading.vocabulary.acquirers]
    if any({token.word for token in reading.tokens[one.last + 1 : one.last + 3]} & {"under", "inside", "within"} for one in later):
        return True  # "X, so ZwReadFile under the lock is legal"
    return bool(later) and bool({token.word for token in reading.tokens[mention.last + 1 : later[0].first]} & {"then", "and", "before", "around", "followed", "+"})


def waited_for(reading: Reading, mention: Mention, calls: list[Mention]) -> list[Mention]:
    """The locks that a wait acquires around later calls: `KeWaitForSingleObject on a KMUTEX, ZwSetValueKey, KeReleaseMutex`."""
    if not is_wait(reading, mention.value):
        return []
    locks = [one for one in reading.rows("locks") if reading.terms.tables["locks"][one.value].more.get("may_wait") is True]
    ends = {reading.vocabulary.releasers.get(one.value.lower()): one.first for one in reading.mentions if one.kind == "ddi" and one.first > mention.last}
    return [lock for lock in locks if any(mention.last < one.first < ends.get(lock.value, -1) for one in calls)]


def held_by_cue(reading: Reading, mention: Mention) -> bool:
    """Whether a strong word such as `under` or `holding` stands just before the mention, or the text says it otherwise that the lock is held."""
    if mention.first in reading.successors or meant_by_pronoun(reading, mention):
        return True
    if [token.word for token in reading.tokens[mention.last + 1 : mention.last + 2]] == ["around"]:
        return True  # "with passive execution level and a WDFWAITLOCK around"
    before = reading.tokens[max(0, mention.first - HELD_NEAR) : mention.first]
    return any(token.word in STRONG_HELD and reading.numbers[mention.first] == reading.numbers[reading.tokens.index(token)] for token in before)


def is_taken(reading: Reading, mention: Mention) -> bool:
    """Whether a lock is told to be acquired or released, not to be stored somewhere: `I grab the spin lock`, `the spin lock is released after I touch the list`."""
    before = {token.word for at, token in enumerate(reading.tokens[: mention.first]) if at >= mention.first - 3 and reading.numbers[at] == mention.clause}
    after = [token.word for token in reading.tokens[mention.last + 1 : mention.last + 3]]
    return bool(before & TAKING) or after[:1] in (["is"], ["was"], ["get"]) and bool({"released", "dropped", "acquired", "taken", "held"} & set(after))


def meant_by_pronoun(reading: Reading, mention: Mention) -> bool:
    """Whether a lock is held as `it` or `both`: `a fast mutex raises the level, I use nonpaged pool under it`, `an ERESOURCE, then a spin lock, with both held`."""
    locks = [one.first for one in reading.rows("locks")]
    for at in range(mention.last + 1, len(reading.tokens) - 1):
        word, following = reading.tokens[at].word, reading.tokens[at + 1].word
        if word in ("both", "all") and following in ("held", "taken", "owned", "lock", "of") and len(locks) > 1 or word in ("under", "holding", "with") and following == "both":
            return True
        if word in ("under", "holding", "behind") and following in ("it", "them", "this") and not any(mention.first < first < at for first in locks):
            return True
    return False


def taken_before(reading: Reading, mention: Mention) -> bool:
    """
    Whether a lock is told to be acquired, and memory to be touched after that and before the release.

    `my routine acquires a spin lock, copies 16 bytes, releases it`; not `takes the lock, releases it, then reads the buffer`.
    """
    near = [first for key, first, last in reading.cues("acts") if key == "acquire" and 0 < mention.first - last <= 3 and reading.numbers[first] == mention.clause]
    if not near or is_asked(reading, mention) or not reading.speaks_of_pool():
        return False
    touches = [first for key, first, _ in reading.cues("acts") if key == "touch" and first > mention.last]
    return bool(touches) and not released_after(reading, mention, touches[0])


def released_after(reading: Reading, mention: Mention, until: int) -> bool:
    """Whether a lock is released between its mention and a later token: `takes the spin lock, releases it, then reads the buffer`."""
    for at in range(mention.last + 1, until):
        if reading.tokens[at].word in ("release", "released", "releasing", "drop", "dropped", "unlock", "free") and reading.tokens[at + 1].word in (
            "it",
            "the",
            "that",
            "again",
            ",",
            "them",
        ):
            after = {token.word for token in reading.tokens[at + 1 : at + 4]}
            taken_again = "again" in {token.word for token in reading.tokens[at + 2 : until]}
            return bool(after & {"it", "them", "again", "lock", "mutex", "spinlock", ","}) and not taken_again
    return False


def unnamed_lock(reading: Reading) -> bool:
    """Whether the text speaks of a lock without saying which: it may be a spin lock, so the IRQL under it stays unknown."""
    covered = {at for one in reading.mentions if one.table in ("locks", "objects") or one.kind == "ddi" for at in range(one.first, one.last + 1)}
    denied = {reading.numbers[first] for _, first, _ in reading.cues("negation")}
    named = bool(reading.rows("locks") or acquiring_ddis(reading))
    return not named and any(
        token.word == "lock"
        and at not in covered
        and reading.numbers[at] not in denied
        and {one.word for one in reading.tokens[max(0, at - 4) : at]} & {"under", "by", "holding", "hold", "with", "inside", "a", "the", "my"}
        for at, token in enumerate(reading.tokens)
    )
