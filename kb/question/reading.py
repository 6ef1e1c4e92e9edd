"""Mentions in, facts and uses out: who does what where, clause by clause."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from kb.ddis import DdiTable
from kb.question.codes import BugCheck, argument_facts, read_bugcheck
from kb.question.kinds import kind_of, out_of_scope
from kb.question.words import Mention, Token, Vocabulary, clauses, scoped, singular, tokenize
from kb.terms import LEVELS, Row, Terms, rank, text_of

Use = dict[str, "str | tuple[str, ...]"]
FENCE = re.compile(r"```[a-zA-Z+]*\n?(.*?)(?:```|\Z)", re.S)
CODE_LINE = re.compile(r"^\s*(?:[\w*]+\s+)*[\w>.\-*\[\]]+\s*(?:=|\().*;\s*(?://.*)?$", re.M)
HELD_NEAR = 6  # words between "holding" and the lock it governs
MEMORY_ACTS = ("allocate", "touch", "free")
REQUEST_PREFIX = "IRP_MJ_"  # codes of requests; a minifilter's callbacks are named together with one
STRONG_HELD = ("under", "holding", "while", "inside", "within", "protected", "guarded", "held", "behind", "between", "owning", "hold", "with", "holds")


@dataclass(frozen=True)
class Fact:
    """One fact read from a question."""

    name: str
    value: str
    use: int | None
    words: str
    """The words it was read from."""
    assumed: bool = False
    carried: bool = False
    """Whether it comes from an earlier question of the conversation."""


@dataclass(frozen=True)
class Question:
    """What was read from one question."""

    text: str
    kind: str
    facts: tuple[Fact, ...]
    uses: tuple[Mapping[str, str | tuple[str, ...]], ...]
    proposed: str = ""
    """The pool that the question proposes."""
    asks_pool: bool = False
    ddis: tuple[str, ...] = ()
    """Documented routines asked about, the subject first."""
    rows: tuple[tuple[str, str], ...] = ()
    """Table rows named: table and id, in order of place."""
    unknown_names: tuple[str, ...] = ()
    """Names that look like kernel routines and are not documented."""
    corrected: tuple[tuple[str, str], ...] = ()
    """Misspelt words and what they were read as."""
    places: tuple[Mapping[str, str | tuple[str, ...]], ...] = ()
    """The places that the prose names, for pasted code that says nothing of its own."""
    bugcheck: BugCheck | None = None
    snippets: tuple[str, ...] = ()
    refusal: str = ""
    """Why it is out of scope; empty when it is not."""
    windows: tuple[str, ...] = ()
    shared: Mapping[str, str] = field(default_factory=dict)
    """Facts that hold for every use."""
    carried: tuple[str, ...] = ()
    """Names of the facts taken over from earlier questions."""
    memory: tuple[Mapping[str, str | tuple[str, ...]], ...] = ()
    """The last uses of memory that the conversation spoke of."""


@dataclass
class Site:
    """A place that the text names: where something happens."""

    clause: int
    routine: str = ""
    lowest: str = ""
    highest: str = ""
    claim: tuple[str, str] | None = None
    locks: tuple[str, ...] = ()
    words: list[str] = field(default_factory=list)
    acts: tuple[str, ...] = ()
    first: int = 0
    fixed: tuple[str, ...] = ()
    """Acts that are certain, in place of those the clause names."""

    def facts(self) -> Use:
        """The site as facts of a use."""
        use: Use = {}
        if self.routine:
            use["routine"] = self.routine
        if self.highest:
            use["irql.lowest"], use["irql.highest"] = self.lowest, self.highest
        if self.claim and (self.routine or not self.locks):
            use["claim.lowest"], use["claim.highest"] = self.claim
        elif self.claim:
            use["lock.claim.lowest"], use["lock.claim.highest"] = self.claim
        if self.locks:
            use["lock"] = self.locks
        return use

    def empty(self) -> bool:
        """Whether nothing is known of the place."""
        return not (self.routine or self.highest or self.locks)


class Reader:
    """Reads questions with the words of the knowledge files."""

    def __init__(self, terms: Terms, ddis: DdiTable) -> None:
        """Prepare the vocabulary once; reading a question then takes a few milliseconds."""
        self.terms = terms
        self.ddis = ddis
        self.vocabulary = Vocabulary(terms, ddis)

    def read(self, text: str, earlier: Question | None = None) -> Question:
        """
        Read one question.

        Args:
            text: What the user typed.
            earlier: The previous question of the conversation as it was read, or None.

        Returns:
            The question with its facts; a follow-up carries, replaces or drops the earlier facts.
        """
        snippets = tuple(found.group(1).strip("\n") for found in FENCE.finditer(text))
        prose = FENCE.sub(" . ", text)
        if not snippets and len(CODE_LINE.findall(text)) >= 2:
            lines = text.splitlines()
            code = [line for line in lines if CODE_LINE.match(line) or re.match(r"\s*[{}#]", line) or "//" in line]
            snippets = ("\n".join(code),)
            prose = "\n".join(line for line in lines if line not in code)
        tokens = self.vocabulary.corrected(tokenize(prose))
        numbers = clauses(tokens)
        negations = [(first, last) for _, first, last in self.vocabulary.cues("negation", tokens)]
        found = self.vocabulary.find(tokens)
        if not any(one.kind == "ddi" for one in found):
            found = sorted([*found, *self.vocabulary.spoken(tokens)], key=lambda one: (one.first, one.last))
        mentions = scoped(found, numbers, negations, tokens)
        return Reading(self, text, tokens, numbers, mentions, snippets).question(earlier)


class Reading:
    """The work on one text."""

    def __init__(self, reader: Reader, text: str, tokens: list[Token], numbers: list[int], mentions: list[Mention], snippets: tuple[str, ...]) -> None:
        """Keep the parts; `question` puts them together."""
        self.reader = reader
        self.terms = reader.terms
        self.ddi_table = reader.ddis
        self.text = text
        self.tokens = tokens
        self.numbers = numbers
        self.mentions = mentions
        self.snippets = snippets
        self.facts: list[Fact] = []
        self.kind = ""
        named = [one.value for one in mentions if one.kind == "row" and one.table == "bugchecks"]
        self.bugcheck = read_bugcheck(text, named, reader.terms)
        self.cue_cache: dict[str, list[tuple[str, int, int]]] = {}

    def cues(self, group: str) -> list[tuple[str, int, int]]:
        """Cues of one group, found once."""
        if group not in self.cue_cache:
            self.cue_cache[group] = list(self.reader.vocabulary.cues(group, self.tokens))
        return self.cue_cache[group]

    def rows(self, table: str, negated: bool = False) -> list[Mention]:
        """Mentions of a table's rows."""
        return [one for one in self.mentions if one.kind == "row" and one.table == table and (negated or not one.negated)]

    def named_facts(self, name: str) -> list[Mention]:
        """Mentions of a fact's values that are not negated."""
        unsure = self.unsure_clauses()
        found = [one for one in self.mentions if one.kind == "fact" and one.table == name and not one.negated and not self.doubted(one, unsure)]
        if name == "windows":  # "before Windows 8" is not Windows 8
            found = [one for one in found if not {token.word for token in self.tokens[max(0, one.first - 2) : one.first]} & {"before", "older", "earlier"} or one.words.lower().startswith(("before", "below", "older", "earlier", "pre"))]
        if name == "memory.place":  # "CacheMutex itself is in the device extension" places another thing than the memory asked about
            found = [one for one in found if not any(token.word == "itself" and self.numbers[at] == one.clause for at, token in enumerate(self.tokens))]
        return found

    def unsure_clauses(self) -> set[int]:
        """Clauses that say that something is not known."""
        return {self.numbers[first] for _, first, _ in self.cues("unsure")}

    def doubted(self, mention: Mention, clauses: set[int]) -> bool:
        """Whether the text says of a mention that it is not known: `I don't know if it has PassiveHandling`."""
        return mention.clause in clauses and any(last < mention.first and self.numbers[first] == mention.clause for _, first, last in self.cues("unsure"))

    # -- places ---------------------------------------------------------------------------------------------------

    def routine_mentions(self) -> list[Mention]:
        """Routines named: rows of the table, and documented callbacks that the driver implements."""
        found = self.rows("routines")
        spans = {(one.first, one.last) for one in found}
        for one in self.mentions:
            if one.kind == "ddi" and not one.negated and (one.first, one.last) not in spans:
                ddi = self.ddi_table.find(one.value)
                if ddi is not None and ddi.kind == "callback" and ddi.role == "implemented_by_driver":
                    found.append(replace(one, table="callback"))
        rows = [one for one in found if one.table == "routines"]
        found = [
            one
            for one in found
            if one.table != "callback" or not any(row.first < one.first and set(row.value.split("-")) & set(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r" \1", one.words).lower())) - {"callback", "routine", "evt"} for row in rows)
        ]  # "context cleanup callback ... CleanupCallback": the general name means the routine named before
        if not found:
            for one in self.rows("linux"):
                row = self.terms.row("linux", one.value)
                if row is not None and row.more.get("routine"):
                    found.append(replace(one, table="routines", value=str(row.more["routine"])))
        unsure = self.unsure_clauses()
        if any(not self.doubted(one, unsure) for one in found):
            found = [one for one in found if not self.doubted(one, unsure)]
        specific = [one for one in found if "-" in one.value]
        found = [one for one in found if not any(other.first < one.first and other.value != one.value and one.value in other.value.split("-") for other in specific)]
        requests = [one for one in found if one.words.upper().startswith(REQUEST_PREFIX) and one.first == one.last]  # its dispatch routine is meant only where no routine is named
        if len(requests) < len(found):
            found = [one for one in found if one not in requests]
        past = {self.tokens[first - 1].word for _, first, _ in self.cues("used_to") if first} | {"\0"}
        found = [one for one in found if self.tokens[one.last].word not in past or not self.cues("used_to") or all(first != one.last + 1 for _, first, _ in self.cues("used_to"))]
        for one in self.mentions:
            if one.kind == "ddi" and not one.negated and self.registers(one):
                value = self.registered(one)
                if value and not any(other.value == value for other in found):
                    found = [other for other in found if not one.last < other.first <= one.last + 3]  # "PoRequestPowerIrp completion routine"
                    found.append(replace(one, kind="row", table="routines", value=value))
        return sorted(found, key=lambda one: one.first)

    def level_ranges(self) -> list[tuple[Mention, str, str, bool]]:
        """IRQLs named: mention, lowest, highest, and whether it is a claim about a routine rather than a place."""
        ups = [(first, last) for _, first, last in self.cues("irql_up_to")]
        froms = [(first, last) for _, first, last in self.cues("irql_from")]
        claims = [(first, last) for _, first, last in self.cues("claim")]
        found = []
        unsure = {self.numbers[first] for _, first, _ in self.cues("unsure")}
        levels = [one for one in self.mentions if one.kind == "irql"]
        asked = set()
        for one, other in zip(levels, levels[1:], strict=False):
            if one.value != other.value and {token.word for token in self.tokens[one.last + 1 : other.first]} & {"or", "/"}:
                asked |= {one.first, other.first}  # "passive or dispatch?" asks
        for one in self.mentions:
            bound = self.bound(one) if one.kind == "irql" and one.first not in asked and one.clause not in unsure else None
            if bound is not None:
                found.append((one, *bound, False))
                continue
            if one.kind != "irql" or one.negated or one.first in asked or one.clause in unsure:
                continue
            if any(last < one.first <= last + 3 and self.numbers[first] == one.clause for _, first, last in self.cues("quoting")):
                continue  # "the page says <= APC_LEVEL" quotes, it places nothing
            level = one.value
            low = high = level
            said = {self.tokens[at].word for at in range(one.first, one.last + 1)}
            before = range(max(0, one.first - 3), one.first)
            if said & {"below", "<", "less", "under"} or any(last in before or (one.last < first <= one.last + 3) for first, last in ups):
                low = "PASSIVE_LEVEL"
            elif any(last in before or (one.last < first <= one.last + 3) for first, last in froms):
                high = "HIGH_LEVEL"
            elif said & {"above", "greater", "higher"}:
                high = level
            claim = any(last in range(max(0, one.first - 4), one.first + 1) and self.numbers[first] == one.clause for first, last in claims)
            claim = claim or bool(said & {"alway", "always", "guaranteed"})
            leaning = {self.tokens[at].word for at in range(max(0, one.first - 2), one.first)}
            if one.first == one.last and self.tokens[one.first].word in ("passive", "dispatch") and not self.tokens[one.first].text.isupper() and not leaning & {"at", "=", "irql", "in", "is", "are", "or", "alway", "be", "from", "to", "and", "then", "a"}:
                if not (one.first and self.tokens[one.first - 1].text in (",", "?", ":", "(")) and one.first:
                    continue  # "we dispatch requests", "the passive voice"
            if said & {"any", "every"}:
                low = "PASSIVE_LEVEL"
            if said & {"above"} and one.first and self.tokens[one.first - 1].word == "or":
                low, high = LEVELS[max(0, rank(level) - 1)], "HIGH_LEVEL"  # "at or above DISPATCH_LEVEL" includes it
            if level == "PASSIVE_LEVEL" and leaning & {"above", "over", ">", "than"}:
                continue  # "above PASSIVE_LEVEL" leaves the level open
            if any(call.clause == one.clause and call.last < one.first for call in self.calls()) and not any(row.clause == one.clause and row.last < one.first for row in self.rows("routines")):
                claim = False  # "can X be called at DISPATCH_LEVEL" asks of the call there
            following = {token.word for token in self.tokens[one.last + 1 : one.last + 4]}
            leading = {token.word for token in self.tokens[max(0, one.first - 8) : one.first]}
            if "so" in following or leading & {"since", "because"} and level in ("PASSIVE_LEVEL", "APC_LEVEL"):
                claim = True  # "FilterOidRequest at passive, so ..." is a premise, to be compared with what is documented
            alone = one.first == one.last and self.tokens[one.first].word in ("passive", "dispatch")
            if alone and not {self.tokens[at].word for at in before} & {"at", "=", "irql", "in"}:
                claim = True  # "is it passive?", "then passive too": said of the routine, not a place
            found.append((one, low, high, claim))
        return found

    def bound(self, mention: Mention) -> tuple[str, str] | None:
        """
        The range that a comparison before a level states: `> APC_LEVEL`, `lower than DISPATCH_LEVEL`, `not above APC_LEVEL`.

        Returns:
            Lowest and highest; None when no comparison stands there, or it is part of the level's own phrase and not denied.
        """
        words = [token.word for token in self.tokens[max(0, mention.first - 4) : mention.first]]
        said = {self.tokens[at].word for at in range(mention.first, mention.last + 1)}
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

    def held_locks(self, subjects: set[int]) -> list[Mention]:
        """Locks and regions that are held where the acts happen; *subjects* are mentions asked about themselves."""
        held_cues = [(first, last) for _, first, last in self.cues("held")]
        found = []
        calls = self.calls()
        for one in self.rows("locks") + self.acquiring_ddis():
            if one.first in subjects:
                continue
            behind = {token.word for token in self.tokens[one.last + 1 : one.last + 4]}
            ahead = {token.word for token in self.tokens[max(0, one.first - 3) : one.first]}
            if behind & {"released", "dropped", "removed", "gone"} and behind & {"is", "wa", "was", "been", "before"} or ahead & {"replaced", "replace", "removed", "dropped"} and "by" not in ahead:
                continue
            if {token.word for token in self.tokens[one.last + 1 : one.last + 3]} & {"protect", "guard", "serialize", "cover"} or {"locked", "region"} & set(one.words.lower().split()):
                found.append(one)
                continue
            named = next((call for call in calls if call.first == one.first), None)
            if named is not None and self.is_held(named, calls):
                found.append(one)
                continue
            if any(one.first - HELD_NEAR <= last < one.first and self.numbers[first] == one.clause for first, last in held_cues) or any(
                one.last < first <= one.last + 2 and self.tokens[first].word in ("held", "hold", "taken", "acquired", "owned") for first, _ in held_cues
            ):
                found.append(one)
        return found

    def acquiring_ddis(self) -> list[Mention]:
        """Documented routines that acquire a lock, as mentions of that lock."""
        found = []
        for one in self.mentions:
            if one.kind == "ddi" and not one.negated and one.value.lower() in self.reader.vocabulary.acquirers:
                found.append(replace(one, kind="row", table="locks", value=self.reader.vocabulary.acquirers[one.value.lower()]))
        return found

    def sites(self, subjects: set[int]) -> list[Site]:
        """Every place the text names, one a clause and routine, in order."""
        by_clause: dict[int, list[Site]] = {}
        last = -9
        for one in self.routine_mentions():
            leading = {token.word for token in self.tokens[max(0, one.first - 4) : one.first]}
            if leading & {"since", "because"} and one.table == "routines" and self.numbers[one.first] > 0 and by_clause:
                continue  # "PASSIVE, since pofx uses worker threads" gives a reason, not a place
            if one.first in subjects or one.first - last <= 1:
                continue  # "WdfRequestSetCompletionRoutine CompletionRoutine" is one routine
            last = one.last
            value = one.value
            sites = by_clause.setdefault(one.clause, [])
            if not any(site.routine == value for site in sites):
                sites.append(Site(one.clause, routine=value, words=[one.words], first=one.first))
        for one, low, high, claim in self.level_ranges():
            near = by_clause.setdefault(one.clause, [])
            target = near[-1] if near and not near[-1].highest else None
            if target is not None and target.routine and any(key == "allocate" and target.first < first < one.first for key, first, _ in self.cues("acts")) and not claim:
                near.append(Site(one.clause, lowest=low, highest=high, words=[one.words], first=one.first, fixed=("allocate",)))
                continue  # "the callback gets a context that I allocate at passive": the level is that of the allocation
            if target is None:
                before = [site for number, group in by_clause.items() if number < one.clause for site in group if site.routine and not site.highest]
                gap = one.clause - before[-1].clause if before else 9
                if before and claim and gap <= 2:
                    target = before[-1]
            about = next((lock for lock in self.rows("locks") if lock.clause == one.clause and lock.last < one.first), None)
            if target is None and about is not None and {token.word for token in self.tokens[about.last + 1 : one.first]} & {"raise", "raises", "raised", "go", "mean", "set"}:
                near.append(Site(one.clause, locks=(about.value,), claim=(low, high), words=[about.words, one.words], first=about.first))
                continue  # "a fast mutex raises to DISPATCH_LEVEL" says something of the lock
            if target is None and claim and self.interrogative(one.clause):
                continue  # "does it come in at DISPATCH_LEVEL?" asks, it places nothing
            if target is None:
                near.append(Site(one.clause, lowest=low, highest=high, words=[one.words], first=one.first))
            elif claim and target.routine and self.interrogative(one.clause):
                continue  # "guaranteed passive?" asks
            elif claim and target.routine:
                target.claim = (low, high)
                target.words.append(one.words)
            else:
                target.lowest, target.highest = low, high
                target.words.append(one.words)
        for one in self.held_locks(subjects):
            beside = by_clause.setdefault(one.clause, [])
            if beside:
                for site in beside:
                    site.locks = tuple(sorted({*site.locks, one.value}))
                    site.words.append(one.words)
            else:
                beside.append(Site(one.clause, locks=(one.value,), words=[one.words], first=one.first))
        for number, group in by_clause.items():
            for site in group:
                site.acts = tuple(
                    dict.fromkeys(
                        key
                        for key, first, last in self.cues("acts")
                        if self.numbers[first] == number and not self.done_elsewhere(key, first, last, site) and site is nearest(group, first)
                    )
                )
                site.acts = site.fixed or site.acts
                if any(site.first > last and self.numbers[first] == number and site.first - last <= 5 for _, first, last in self.cues("other_acts")) and not site.locks:
                    site.routine = site.lowest = site.highest = ""  # "the last reference was dropped in a post-op": not what touches the memory
                if self.of_another_call(site):
                    site.routine = site.lowest = site.highest = ""
                if self.only_signals(site):
                    site.routine = site.lowest = site.highest = ""
                    site.locks = ()
        ordered = [site for number in sorted(by_clause) for site in by_clause[number]]
        return merge_locks([site for site in ordered if not site.empty()])

    def interrogative(self, clause: int) -> bool:
        """Whether a clause asks: it begins with `does`, `is`, `can` and the like, or its end is a question mark."""
        inside = [at for at in range(len(self.tokens)) if self.numbers[at] == clause]
        if not inside:
            return False
        first = next((self.tokens[at].word for at in inside if self.tokens[at].word not in (".", ",", "(", ")", ":", "and", "or", "-", "?", ";")), "")
        after = self.tokens[inside[-1] + 1].text if inside[-1] + 1 < len(self.tokens) else ""
        return first in ("does", "doe", "is", "are", "can", "do", "will", "may", "must") or after == "?"

    def done_elsewhere(self, act: str, first: int, last: int, site: Site) -> bool:
        """Whether an `allocated` in the clause speaks of another place: `the struct that StartDevice allocated`."""
        if act != "allocate" or self.tokens[last].text.lower() not in ("allocated", "created", "obtained", "allocate"):
            return False
        following = {token.word for token in self.tokens[last + 1 : last + 5]}
        if first and self.tokens[first - 1].word in ("i", "we", "driver") and site.first < first and not following & {"there", "here", "in"}:
            return True  # "it looks up a table that I allocate from pool"
        return site.first < first and not following & {"there", "here"} and self.tokens[first - 1].word not in ("get", "is", "are", "be", "was", "being") if first else False

    def of_another_call(self, site: Site) -> bool:
        """Whether a site is where some other routine is told to be called: `FltReleaseContext may be called at dispatch in my post-op`."""
        for one in self.mentions:
            if one.kind == "ddi" and one.clause == site.clause and one.last < site.first and not self.is_implemented(one):
                between = [token.word for token in self.tokens[one.last + 1 : min(one.last + 5, site.first)]]
                if {"called", "happen", "happened"} & set(between) and not self.acts_of(one.value):
                    return True
        return False

    def only_signals(self, site: Site) -> bool:
        """Whether the text denies that the site touches the memory: `a DPC moves the pointer, it does not dereference it`."""
        for _, first, last in self.cues("negation"):
            number = self.numbers[first]
            if number not in (site.clause, site.clause + 1) or first < site.first:
                continue
            acts = {self.tokens[at].word for at in range(last + 1, min(last + 4, len(self.tokens)))}
            if "else" in acts:
                continue  # "nothing else reads it" denies other places, not this one
            begins = [token.word for at, token in enumerate(self.tokens) if self.numbers[at] == number and token.text[0].isalnum()][:2]
            if acts & {"dereference", "touch", "access", "read", "look", "use"} and (number == site.clause or bool({"it", "which", "that", "but"} & set(begins))):
                names = [one for one in self.mentions if one.kind in ("row", "ddi") and self.numbers[one.first] == number and one.first > last and one.table in ("routines", "locks")]
                if not names:
                    return True
        return False

    # -- what is asked --------------------------------------------------------------------------------------------

    def shared_facts(self) -> dict[str, str]:
        """Facts that hold for the whole question: arguments, versions, models, and a pool when exactly one is named."""
        shared: dict[str, str] = {}
        called = {one.first for one in self.calls()}
        for name in self.terms.facts:
            if name == "memory.pool":
                continue
            values = [one for one in self.named_facts(name) if one.first not in called]
            if values and len({one.value for one in values}) == 1:
                shared[name] = values[0].value
                self.facts.append(Fact(name, values[0].value, None, values[0].words))
        for one in self.mentions:
            if one.kind == "fact" and one.negated and one.table in ("memory.locked", "io.paging", "argument.wait") and one.table not in shared:
                opposite = {"true": "false", "false": "true"}.get(one.value)
                if opposite:
                    shared[one.table] = opposite
                    self.facts.append(Fact(one.table, opposite, None, "not " + one.words))
        for one in self.rows("locks", negated=True):
            row = self.terms.row("locks", one.value)
            if one.negated and row is not None and row.more.get("apcs") in ("normal_disabled", "all_disabled") and not row.more.get("held") and not row.more.get("storage"):
                shared.setdefault("apcs", "enabled")
                self.facts.append(Fact("apcs", "enabled", None, "not " + one.words))
        for one in self.calls():
            ddi = self.ddi_table.find(one.value)
            if ddi is not None and "argument.wait" not in shared and any("argument.wait" in row.when for row in ddi.rows):
                at = next((place for place in range(one.last + 1, len(self.tokens)) if self.tokens[place].text in ("TRUE", "FALSE")), -1)
                literal = self.tokens[at].text if at >= 0 else ""
                if literal and {token.word for token in self.tokens[max(0, at - 2) : at]} & {"not", "isn't"}:
                    literal = "FALSE" if literal == "TRUE" else "TRUE"
                if literal:
                    shared["argument.wait"] = literal.lower()
                    self.facts.append(Fact("argument.wait", literal.lower(), None, self.tokens[at].text))
                break
        for name, (value, written) in argument_facts(self.text, self.terms).items():
            shared[name] = value
            self.facts.append(Fact(name, value, None, written))
        pools = {one.value for one in self.pool_mentions()}
        if len(pools) == 1:
            shared["memory.pool"] = pools.pop()
            self.facts.append(Fact("memory.pool", shared["memory.pool"], None, self.pool_mentions()[0].words))
        return shared

    def pool_mentions(self) -> list[Mention]:
        """Pools named, by word or by a POOL_TYPE or POOL_FLAGS value."""
        found = self.named_facts("memory.pool")
        for one in self.rows("pool_arguments"):
            row = self.terms.row("pool_arguments", one.value)
            pool = str(row.more.get("pool", "")) if row else ""
            if pool in ("paged", "nonpaged"):
                found.append(replace(one, kind="fact", table="memory.pool", value=pool))
        return sorted(found, key=lambda one: one.first)

    def question(self, earlier: Question | None) -> Question:
        """Put everything together."""
        from kb.question.follow import carry

        refusal = out_of_scope(self)
        kind = kind_of(self)
        self.kind = kind
        shared = self.shared_facts()
        subjects, subject_positions = self.subjects(kind)
        sites = self.sites(subject_positions)
        uses = self.uses(kind, subjects, sites, shared)
        rows = tuple(dict.fromkeys((one.table, one.value) for one in self.mentions if one.kind == "row" and not one.negated))
        unknown = tuple(dict.fromkeys(one.value for one in self.mentions if one.kind == "unknown_name"))
        asks = bool(self.cues("pool_question")) or len({one.value for one in self.pool_mentions()}) == 2
        for number, use in enumerate(uses):
            for name, value in use.items():
                if name in shared:
                    continue
                words = next((site.words for site in sites if site.facts().items() <= use.items()), [])
                self.facts.append(Fact(name, ", ".join(value) if isinstance(value, tuple) else value, number, "; ".join(words) or self.text[:80]))
        question = Question(
            text=self.text,
            kind=kind,
            facts=tuple(self.facts),
            uses=tuple(uses),
            proposed=shared.get("memory.pool", ""),
            asks_pool=asks,
            ddis=tuple(dict.fromkeys([*[one for _, one in subjects if _ == "ddi"], *[one.value for one in self.mentions if one.kind == "ddi" and not one.negated]])),
            rows=rows,
            unknown_names=unknown,
            corrected=tuple((one.words, one.value) for one in self.mentions if one.corrected),
            snippets=self.snippets,
            places=tuple({**{name: value for name, value in shared.items() if name != "driver.model"}, **site.facts()} for site in sites) or (({**shared},) if shared else ()),
            bugcheck=self.bugcheck,
            refusal=refusal,
            windows=tuple(one.value for one in self.named_facts("windows")),
            shared=shared,
        )
        if earlier is not None:
            question = carry(question, self, sites, earlier)
        touched = tuple(use for use in question.uses if use.get("act") in MEMORY_ACTS)
        return replace(question, memory=touched or (earlier.memory if earlier is not None else ()))

    def subjects(self, kind: str) -> tuple[list[tuple[str, str]], set[int]]:
        """
        What is called, acquired, waited for or stored: pairs of (`ddi` | `lock` | `object`, name), and the tokens that name them.

        A routine that acquires a lock is a subject only when nothing else is called under it.
        """
        calls = self.calls()
        chosen = [one for one in calls if not self.is_held(one, calls)] or (calls[:1] if kind != "decision" and not (self.pool_mentions() or self.cues("pool_question")) else [])
        if kind in ("decision", "context") or kind == "api_irql" and any(self.registered(one) for one in chosen) and len(chosen) == 1 and (self.cues("pool_question") or self.pool_mentions()):
            chosen = [one for one in chosen if not self.registered(one) or self.asked(one)]
        asked = [one for one in chosen if self.sentence_asks(one)]
        if asked and chosen and not self.sentence_asks(chosen[0]) and kind in ("api_irql", "linux", "howto"):
            chosen = asked
        if kind == "object_storage":
            linked = {row.id for row in self.object_rows() if any(one.value in (row.more.get("ddis") or ()) for one in self.calls())}
            stored = self.stored_objects()
            objects = [one for one in self.rows("objects") if one.value in linked] or stored or self.rows("objects") or self.implied_objects()
            near = [one for one in objects if one.clause == objects[0].clause] if objects else []
            return [("object", name) for name in dict.fromkeys(one.value for one in near)], {one.first for one in near}
        if chosen:
            first = chosen[0]
            picked = [first]
            for one in chosen[1:]:
                between = {token.word for token in self.tokens[picked[-1].last + 1 : one.first]}
                if between <= {"/", "and", "or", ",", "+", "&"} and between:
                    picked.append(one)
            waited = [
                one
                for one in self.rows("locks")
                if not self.held_by_cue(one)
                and (
                    any(name in (self.terms.tables["locks"][one.value].more.get("acquire") or ()) for name in (pick.value for pick in picked))
                    or self.terms.tables["locks"][one.value].more.get("may_wait") is True and any(self.waits(pick.value) for pick in picked)
                )
            ]
            return (
                [*(("ddi", one.value) for one in dict.fromkeys(picked)), *(("lock", one.value) for one in waited[:1])],
                {one.first for one in (*picked, *waited)},
            )
        touching = {self.numbers[first] for key, first, _ in self.cues("acts") if key == "touch"}
        locks = [
            one
            for one in self.rows("locks")
            if (not self.held_by_cue(one) or self.asked(one)) and not (one.clause in touching and any(self.tokens[at].word == "while" for at in range(one.last + 1, len(self.tokens)) if self.numbers[at] == one.clause))
        ]
        if locks and kind in ("api_irql", "linux", "context"):
            return [("lock", one.value) for one in locks[:1]], {one.first for one in locks[:1]}
        return [], set()

    def object_rows(self) -> list[Row]:
        """Rows of the objects named."""
        long = len(self.tokens) > LINKED_LENGTH
        found = [self.terms.row("objects", one.value) for one in self.stored_objects() if not long or "_" in one.words or one.words[1:] != one.words[1:].lower() and len(one.words) > 6]
        return [row for row in found if row is not None]

    def stored_objects(self) -> list[Mention]:
        """Objects whose storage the text speaks of; a lock that only protects something is not one."""
        locks = {one.first for one in self.rows("locks")}
        storing = {self.numbers[first] for key, first, _ in self.cues("acts") if key == "store"}
        words = {token.word for token in self.tokens}
        short = len(self.tokens) <= 18 or "storage" in words or bool(words & {"where"}) and bool(words & {"allocated", "live", "put", "stored", "reside", "kept", "allocate"})
        placed = {self.numbers[one.first] for one in (*self.pool_mentions(), *self.named_facts("memory.place"))}
        found = []
        for one in self.rows("objects"):
            after = {token.word for token in self.tokens[one.last + 1 : one.last + 4]}
            if one.first in locks and (after & {"protect", "guard", "held", "serialize"} or self.held_by_cue(one)):
                continue
            inside = [token.word for token in self.tokens[one.last + 1 : one.last + 3]]
            offered = one.first <= 1 and any(0 < pool.first - one.last <= 6 for pool in self.pool_mentions())
            lies = len(inside) == 2 and inside[0] in ("in", "inside", "within") and inside[1] in ("a", "my", "the", "our", "paged", "nonpaged", "this")
            if one.first not in locks or one.clause in storing or short or one.clause in placed or lies or offered:
                found.append(one)
        return found

    def waits(self, name: str) -> bool:
        """Whether a documented routine is a wait: its level depends on the time-out."""
        ddi = self.ddi_table.find(name)
        return ddi is not None and any("wait.timeout" in row.when for row in ddi.rows)

    def implied_objects(self) -> list[Mention]:
        """Objects that a routine's name and one word imply: the `context` handed to a routine that takes one."""
        words = {token.word for token in self.tokens}
        found = []
        for one in self.calls():
            for row in self.terms.tables.get("objects", {}).values():
                if one.value in (row.more.get("ddis") or ()) and ("context" in row.id and words & {"context", "ctx"} or "Init" in one.value):
                    found.append(replace(one, kind="row", table="objects", value=row.id))
        return found

    def calls(self) -> list[Mention]:
        """Documented routines that the text names and a driver calls; a routine of the driver's own is not among them."""
        routines = {(one.first, one.last) for one in self.rows("routines", negated=True)}
        facts = {one.first for one in self.mentions if one.kind == "fact" and one.table == "memory.locked" and self.told(one)}
        return [
            one for one in self.mentions if one.kind == "ddi" and not one.negated and not self.is_implemented(one) and (one.first, one.last) not in routines
            and one.first not in facts and not self.registers(one) and not self.was_called(one)
        ]

    def told(self, mention: Mention) -> bool:
        """Whether a call is told as something done before, not asked about: `was called at StartDevice`, `already`."""
        if (self.pool_mentions() or self.cues("pool_question")) and not self.asked(mention) and len(self.tokens) > 18:
            return True
        clause = {self.tokens[at].word for at in range(len(self.tokens)) if self.numbers[at] == mention.clause}
        return bool(clause & {"was", "were", "before", "already", "earlier", "after", "have", "did"})

    def was_called(self, mention: Mention) -> bool:
        """Whether the text tells that the routine was called elsewhere: `IoQueueWorkItem was called in a DPC`."""
        after = [token.text.lower() for token in self.tokens[mention.last + 1 : mention.last + 4]]
        return len(after) >= 2 and (after[0] in ("was", "were") and after[1] in ("called", "made", "done", "used", "invoked") or after[0] in ("happened", "happens", "ran"))

    def registered(self, mention: Mention) -> str:
        """The routine that a registering DDI registers: the id of its row, or the documented callback's name; empty when unknown."""
        callback = self.terms.registers.get(mention.value.lower(), "")
        if not callback or not REGISTERING.search(mention.value):
            return ""
        for kind, table, value in self.reader.vocabulary.named(callback):
            if kind == "row" and table == "routines":
                return value
        return callback

    def registers(self, mention: Mention) -> bool:
        """Whether the routine named only registers the callback that the text is about: `PoRequestPowerIrp completion function`."""
        after = [token.word for token in self.tokens[mention.last + 1 : mention.last + 4]]
        before = {token.word for token in self.tokens[max(0, mention.first - 3) : mention.first]}
        head = after[:3]
        stop = ("in", "from", "the", "a", "my", "at", "inside", "and", "or", ",", "out", "(", ")", ".", "?", ":", "of", "on", "under", "with", "to", "by")
        place = next((at for at, word in enumerate(head) if word in CALLBACK_WORDS), None)
        followed = place is not None and not any(word in stop for word in head[:place])
        if before & {"registered", "register", "set", "hooked"} and self.registered(mention):
            return True
        return (followed or bool(before & {"registered", "register"})) and bool(self.rows("routines") or followed)

    def is_held(self, mention: Mention, calls: list[Mention]) -> bool:
        """Whether an acquiring routine is named as what is held, rather than as what is asked about."""
        if mention.value.lower() not in self.reader.vocabulary.acquirers:
            return False
        if self.held_by_cue(mention) and not self.asked(mention):
            return True
        lock = self.reader.vocabulary.acquirers[mention.value.lower()]
        ends = [one.first for one in self.mentions if one.kind == "ddi" and one.first > mention.last and self.reader.vocabulary.releasers.get(one.value.lower()) == lock]
        if ends and any(mention.last < one.first < ends[0] for one in calls):
            return True  # acquire, call, release: the call is made under the lock
        if (self.pool_mentions() or self.cues("pool_question") or self.cues("pool_word")) and not self.asked(mention):
            return True  # a question about memory names the lock that is held around it
        later = [one for one in calls if one.first > mention.last and one.value.lower() not in self.reader.vocabulary.acquirers]
        return bool(later) and bool({token.word for token in self.tokens[mention.last + 1 : later[0].first]} & {"then", "and", "before", "around", "followed", "+"})

    def sentence_asks(self, mention: Mention) -> bool:
        """Whether the sentence of a mention ends with a question mark."""
        for token in self.tokens[mention.last + 1 :]:
            if token.text in (".", "!", ";") or token.text == "?":
                return token.text == "?"
        return False

    def is_implemented(self, mention: Mention) -> bool:
        """Whether a documented name is a callback that the driver implements."""
        ddi = self.ddi_table.find(mention.value)
        return ddi is not None and ddi.kind == "callback" and ddi.role == "implemented_by_driver"

    def held_by_cue(self, mention: Mention) -> bool:
        """Whether a strong word such as `under` or `holding` stands just before the mention."""
        before = self.tokens[max(0, mention.first - HELD_NEAR) : mention.first]
        return any(token.word in STRONG_HELD and self.numbers[mention.first] == self.numbers[self.tokens.index(token)] for token in before)

    def asked(self, mention: Mention) -> bool:
        """Whether `can I`, `may I`, `ok to` and the like govern the mention's clause before it."""
        before = [token.word for at, token in enumerate(self.tokens[: mention.first]) if self.numbers[at] == self.numbers[mention.first]]
        return any(word in ("can", "may", "could", "allowed", "ok", "legal", "safe", "should") for word in before[-8:])

    # -- uses -----------------------------------------------------------------------------------------------------

    def uses(self, kind: str, subjects: list[tuple[str, str]], sites: list[Site], shared: dict[str, str]) -> list[Use]:
        """The uses that the question states, each with the facts of its place."""
        base: Use = {name: value for name, value in shared.items() if name not in ("driver.model",)}
        unsure = self.unsure_clauses()
        doubted = tuple(sorted({one.table for one in self.mentions if one.kind == "fact" and self.doubted(one, unsure)}))
        if doubted:
            base["unsure"] = doubted
        places = [site.facts() for site in sites] or [{}]
        uses: list[Use] = []
        existing = self.exist_uses(subjects, base)
        if existing and not any(places):
            return existing
        if kind == "object_storage" and subjects and subjects[0][0] == "object":
            base = {name: value for name, value in base.items() if name != "memory.place" or not self.place_is_alternative()}
            store: Use = {**base, "act": "store", "object": subjects[0][1]}
            more = [{**base, "act": "store", "object": name} for what, name in subjects[1:3] if what == "object"]
            row = self.terms.row("objects", subjects[0][1])
            either = row is not None and row.more.get("storage") == "either"
            return [store, *more, *(self.memory_uses([], sites, base) if either and sites else [])]
        if kind in ("why", "howto", "bugcheck", "migration", "code", "out_of_scope") and not self.pool_asked():
            return self.call_uses(subjects, places, base) if kind in ("howto", "migration") and any(places) else []
        made = self.allocated_objects()
        if made and kind in ("decision", "api_irql") and plain_pool(self):
            uses += [{**base, "act": "store", "object": name} for name in made]
        if kind == "migration" or kind == "howto":
            wanted = any(self.asked(one) for one in self.calls())
            uses += self.call_uses(subjects, places, base) if any(places) and wanted else []
        elif kind != "decision":
            uses += self.call_uses(subjects, places, base)
        elif subjects:
            uses += [use for use in self.call_uses(subjects, places, base) if any(site for site in places if site)]
        acting = kind == "context" and any(key in ("touch", "free", "allocate") and any(site.clause == self.numbers[first] for site in sites) for key, first, _ in self.cues("acts"))
        plain = bool(self.pool_mentions() or self.cues("pool_question") or self.cues("pool_word"))
        touching = kind == "linux" and any(key == "touch" and any(site.clause == self.numbers[first] for site in sites) for key, first, _ in self.cues("acts"))
        if kind == "decision" and self.pool_asked() or kind == "linux" and (self.pool_asked() or touching) or kind == "context" and (plain or acting) or kind in ("api_irql", "howto", "migration") and sites and (self.pool_mentions() or self.cues("pool_question")):
            uses += self.memory_uses(subjects, sites, base)
        if (kind == "context" or kind == "decision" and not any(use.get("act") == "call" for use in uses)) and not any(use.get("act") == "context" for use in uses):
            uses += [{**base, **{name: value for name, value in place.items() if name not in ("lock",)}, "act": "context"} for place in places if "routine" in place]
            if not any("routine" in place for place in places):
                uses += [{**base, "routine": routine, "act": "context"} for routine in self.registered_routines()[:1]]
        if kind == "linux" and any(places) and not any(use.get("act") in MEMORY_ACTS for use in uses) and self.linux_allocates():
            uses += [{**{name: value for name, value in base.items() if name != "memory.pool"}, **place, "act": act} for place in places if place for act in ("allocate", "touch")]
        given = self.given_pool()
        if given and kind in ("decision", "api_irql", "context") and any("irql.highest" in place or "routine" in place or "lock" in place for place in places):
            if self.cues("passive_memory"):
                return [{**base, **place, "act": "touch", "memory.pool": given, "said.pool": "true"} for place in places if place]
        run = self.named_facts("code.pageable")
        if run and kind in ("decision", "context", "api_irql", "linux") and not uses:
            uses += [{**base, **place, "act": "run"} for place in places]
        return uses

    def given_pool(self) -> str:
        """The pool that the allocator named always gives, when the text asks of touching what it gave; empty when it gives a choice."""
        if self.pool_mentions() or self.cues("pool_question"):
            return ""
        for one in self.rows("allocators"):
            row = self.terms.row("allocators", one.value)
            if row is not None and row.more.get("gives") in ("paged", "nonpaged") and not row.more.get("place"):
                return str(row.more["gives"])
        return ""

    def pool_asked(self) -> bool:
        """Whether memory of some pool is what the question is about."""
        return bool(self.kind == "decision" or self.pool_mentions() or self.cues("pool_question") or self.cues("pool_word") or self.rows("allocators"))

    def allocated_objects(self) -> list[str]:
        """Objects that the text says are allocated: `I allocate the WNODE_EVENT_ITEM`."""
        locks = {one.first for one in self.rows("locks")}
        ends = [last for key, _, last in self.cues("acts") if key == "allocate"]
        return list(dict.fromkeys(one.value for one in self.rows("objects") if one.first not in locks and any(0 < one.first - last <= 3 for last in ends)))

    def place_is_alternative(self) -> bool:
        """Whether a place is offered beside a pool (`stack, paged, nonpaged?`) rather than stated."""
        for place in self.named_facts("memory.place"):
            for pool in self.pool_mentions():
                first, second = sorted((place, pool), key=lambda one: one.first)
                between = {token.word for token in self.tokens[first.last + 1 : second.first]}
                if between and between <= {",", "or", "must", "be", "/", "paged", "nonpaged", "from"}:
                    return True
        return False

    def exist_uses(self, subjects: list[tuple[str, str]], base: Use) -> list[Use]:
        """Whether what is named exists on the Windows version named: a use for each routine, pool type or flag."""
        if "windows" not in base or not self.cues("exist"):
            return []
        windows = {"windows": base["windows"], "act": "exist"}
        arguments = [{**windows, "pool.argument": one.value} for one in self.rows("pool_arguments")[:1] if (row := self.terms.row("pool_arguments", one.value)) is not None and row.more.get("since")]
        return [{**windows, "ddi": name} for what, name in subjects if what == "ddi" and (ddi := self.ddi_table.find(name)) is not None and ddi.since] or arguments

    def call_uses(self, subjects: list[tuple[str, str]], places: list[Use], base: Use) -> list[Use]:
        """A use for each thing called or acquired and each place."""
        uses: list[Use] = []
        merged = merge_places(places)
        if len({one.value for one in self.pool_mentions()}) == 2 and not self.cues("pool_question"):
            base = {**base, "memory.pool": "paged"}  # both are touched: the worse one counts
        for what, name in subjects:
            for place in merged:
                if what == "ddi":
                    ddi = self.ddi_table.find(name)
                    if "wait.mode" in base and "mapping" not in base and ddi is not None and any("mapping" in row.when for row in ddi.rows):
                        base = {**base, "mapping": base["wait.mode"]}  # KernelMode and UserMode name the access mode of a mapping too
                    said = self.said_condition(name)
                    uses.append({**base, **place, "act": "call", "ddi": name, **({"condition": said} if said else {})})
                elif what == "lock":
                    uses.append({**base, **place, "act": "acquire", "acquired": name})
        if not subjects:
            subject = self.linux_subject()
            if subject and any(places):
                uses += [{**base, **place, "act": "call", "ddi": subject} for place in merged]
        if not subjects and not uses and any(key == "wait" for key, _, _ in self.cues("acts")) and any(places):
            uses += [{**base, **place, "act": "wait"} for place in merged]
        return uses

    def linux_allocates(self) -> bool:
        """Whether the Linux terms named allocate memory."""
        allocators = {name for row in self.terms.tables.get("allocators", {}).values() for name in row.names}
        rows = [self.terms.row("linux", one.value) for one in self.rows("linux")]
        return any(row is not None and not row.more.get("routine") and allocators & {str(name) for name in row.more.get("windows") or ()} for row in rows)

    def linux_subject(self) -> str:
        """The documented routine that stands for the Linux one asked about; empty when the question names none or it maps in part only to flags."""
        for one in self.rows("linux"):
            row = self.terms.row("linux", one.value)
            if row is None or row.more.get("routine"):
                continue
            for name in row.more.get("windows") or ():
                ddi = self.ddi_table.find(str(name))
                if ddi is not None and ddi.kind != "callback" and ddi.rows:
                    return ddi.name
        return ""

    def said_condition(self, name: str) -> str:
        """The documented condition of a routine's rows that the text's own words state, when exactly one is; else empty."""
        ddi = self.ddi_table.find(name)
        rows = [row for row in ddi.rows if row.condition and not row.when and row.source != "header"] if ddi is not None else []
        kept = [token.text for at, token in enumerate(self.tokens) if not (at >= 2 and self.tokens[at - 1].word in ("of", "than") and self.tokens[at - 2].word in ("instead", "rather"))]
        return matching_condition([str(row.condition) for row in rows], kept)

    def memory_uses(self, subjects: list[tuple[str, str]], sites: list[Site], base: Use) -> list[Use]:
        """The uses of the memory asked about: at each place, what the clause says is done there."""
        base = {name: value for name, value in base.items() if name != "memory.pool"}
        if self.pool_mentions() and base.get("memory.place") in ("user_buffer", "stack"):
            del base["memory.place"]  # the other end of a copy
        called = {act for _, name in subjects for act in self.acts_of(name)}
        acts_in_text = tuple(dict.fromkeys(key for key, _, _ in self.cues("acts") if key in MEMORY_ACTS))
        uses: list[Use] = []
        named = {site.routine for site in sites}
        for routine in self.registered_routines():
            if routine not in named:
                uses.append({**base, "routine": routine, "act": "touch"})  # what is handed to the callback is touched in it
        for site in sites:
            acts = tuple(dict.fromkeys((*(act for act in site.acts if act in MEMORY_ACTS), *sorted(called))))
            if not acts:
                here = tuple(dict.fromkeys(key for key, first, last in self.cues("acts") if key in MEMORY_ACTS and not self.done_elsewhere(key, first, last, site)))
                acts = here if len(sites) == 1 and here else ("touch",)
            for act in acts:
                uses.append({**base, **site.facts(), "act": act})
            if acts == ("allocate",) and self.used_on_the_spot():
                uses.append({**base, **site.facts(), "act": "touch"})
        if not uses:
            return [{**base, "act": "touch"}]
        if self.unread_place() or self.unnamed_lock() and not any("lock" in use for use in uses):
            uses.append({**base, "act": "touch"})
        if not any(use["act"] == "touch" for use in uses) and not self.used_on_the_spot() and "free" not in acts_in_text:
            uses.append({**base, "act": "touch"})
        unique: list[Use] = []
        for use in uses:
            if use not in unique:
                unique.append(use)
        return unique

    def acts_of(self, name: str) -> set[str]:
        """What calling this routine does to memory: a row of allocators.yaml names it as one that allocates or releases."""
        acts = set()
        for row in self.terms.tables.get("allocators", {}).values():
            if name in row.names and (row.more.get("allocate") or row.more.get("gives")):
                acts.add("free" if row.more.get("act") == "free" or "Free" in name[:12] else "allocate")
            elif name in ((row.more.get("release") or {}).get("with") or ()):
                acts.add("free")
        return acts

    def registered_routines(self) -> list[str]:
        """Routines that the text registers by a documented call (`IoInitializeTimer`, `FltPerformAsynchronousIo(cbd, MyDone, ctx)`)."""
        calls = [one for one in self.mentions if one.kind == "ddi" and not one.negated]
        return list(dict.fromkeys(value for one in calls if (value := self.registered(one))))

    def unnamed_lock(self) -> bool:
        """Whether the text speaks of a lock without saying which: it may be a spin lock, so the IRQL under it stays unknown."""
        covered = {at for one in self.mentions if one.table in ("locks", "objects") or one.kind == "ddi" for at in range(one.first, one.last + 1)}
        denied = {self.numbers[first] for _, first, _ in self.cues("negation")}
        named = bool(self.rows("locks") or self.acquiring_ddis())
        return not named and any(
            token.word == "lock" and at not in covered and self.numbers[at] not in denied and {one.word for one in self.tokens[max(0, at - 4) : at]} & {"under", "by", "holding", "hold", "with", "inside", "a", "the", "my"}
            for at, token in enumerate(self.tokens)
        )

    def unread_place(self) -> bool:
        """Whether the text speaks of a timer, interrupt, completion or callback that was not read as a place: then one use stays unknown."""
        covered = {at for one in self.mentions for at in range(one.first, one.last + 1)}
        denied = {self.numbers[first] for _, first, _ in self.cues("negation")}
        calls = bool(self.registered_routines())
        return any(first not in covered and self.numbers[first] not in denied and not calls and not self.routine_mentions() for _, first, _ in self.cues("place_hint"))

    def used_on_the_spot(self) -> bool:
        """Whether the memory is used only where it is allocated: a temporary or scratch buffer, freed before return."""
        words = {token.word for token in self.tokens}
        return bool(self.cues("only")) or bool(words & {"temp", "scratch", "temporary", "need", "needs"})


REGISTERING = re.compile(
    r"Register|Init|Set\w*(?:Routine|Callback|Notify)|Connect|Queue|Async|AllocateTimer|RequestPowerIrp|Notif|IpiGeneric|CreateSystemThread|Synchroniz|WhenSafe|SetCompletion"
)  # names of routines whose main purpose is to hand over a callback; others take one by the way
LINKED_LENGTH = 34  # words up to which an object named beside a routine that takes it is what the question is about
CALLBACK_WORDS = ("thread", "callback", "routine", "handler", "completion", "function", "notification", "worker")
CONDITION_STOP = set("the a an is are of in on if when or and to be for with that by not no another other value object state call called caller it its set from".split())


def near_negation(stems: list[str], wanted: set[str]) -> bool:
    """Whether a negation stands up to three words before one of the words, or one after it."""
    negations = {"not", "no", "without", "isn't", "don't", "doesn't", "never", "nothing"}
    for at, word in enumerate(stems):
        if word in wanted and (negations & set(stems[max(0, at - 3) : at]) or negations & set(stems[at + 1 : at + 3])):
            return True
    return False


def plain_pool(reading: Reading) -> bool:
    """Whether the text names or asks for a pool."""
    return bool(reading.pool_mentions() or reading.cues("pool_question"))


def condition_words(text: str) -> tuple[set[str], set[str]]:
    """Identifiers of a condition, and its content words, both normalized."""
    tokens = [token for token in tokenize(re.sub(r"`[^`]*`", " ", text)) if token.text[0].isalnum()]
    names = {token.word for token in tokens if "_" in token.text or re.search(r"[a-z][A-Z]|^[A-Z]+[0-9]", token.text)}
    return names, {token.word for token in tokens} - CONDITION_STOP


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
    stems = [singular(word) for word in words]
    said = set(stems)
    found = []
    for number, condition in enumerate(conditions):
        others = [part for place, other in enumerate(conditions) if place != number for part in re.split(r"\bor\b", other)]
        for part in re.split(r"\bor\b", condition):
            names, content = condition_words(part)
            negative = bool(re.search(r"\b(not|no)\b", part))
            rivals = [other for other in others if bool(re.search(r"\b(not|no)\b", other)) == negative]
            shared = set().union(*(condition_words(other)[1] for other in rivals)) if rivals else set()
            own = (names or content) - shared
            hit = bool(names) and names <= said or not names and bool(own & said) and len(content & said) >= 0.6 * len(content)
            if hit and own and negative == near_negation(stems, own):
                found.append(condition)
                break
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


def nearest(group: list[Site], at: int) -> Site:
    """The site of a clause that an act belongs to: with several routines the one whose name stands nearest, the one before it in doubt."""
    routines = [site for site in group if site.routine]
    if len(routines) < 2:
        return group[0] if len(group) == 1 else min(group, key=lambda site: (not site.routine, abs(site.first - at)))
    return min(routines, key=lambda site: (abs(site.first - at), site.first > at))


def merge_locks(sites: list[Site]) -> list[Site]:
    """Join a place that is only a lock with its neighbor: `in my completion routine, while holding a spin lock`."""
    out: list[Site] = []
    for site in sites:
        if site.locks and not site.routine and not site.highest and out and site.clause - out[-1].clause <= 1:
            out[-1].locks = tuple(sorted({*out[-1].locks, *site.locks}))
            out[-1].words += site.words
        elif out and out[-1].locks and not out[-1].routine and not out[-1].highest and site.clause - out[-1].clause <= 1 and not site.locks:
            site.locks = out[-1].locks
            site.words = out[-1].words + site.words
            out[-1] = site
        elif out and site.highest and not site.fixed and not site.routine and out[-1].routine and not out[-1].highest and not out[-1].claim and site.clause - out[-1].clause <= 1:
            out[-1].lowest, out[-1].highest = site.lowest, site.highest
            out[-1].words += site.words
        else:
            out.append(site)
    return out


def merge_places(places: list[Use]) -> list[Use]:
    """Places for a call: different routines are different places; levels and locks named apart from them join the last."""
    routines = [place for place in places if "routine" in place]
    if not routines:
        joint: Use = {}
        for place in places:
            for name, value in place.items():
                if name == "lock" and "lock" in joint:
                    joint["lock"] = tuple(sorted({*joint["lock"], *value}))
                elif name == "irql.highest" and "irql.highest" in joint and rank(str(value)) < rank(str(joint[name])):
                    continue
                elif name == "irql.lowest" and "irql.lowest" in joint and rank(str(value)) < rank(str(joint[name])):
                    continue
                else:
                    joint[name] = value
        return [joint]
    rest = [place for place in places if "routine" not in place]
    out = [dict(place) for place in routines]
    for place in rest:
        for target in out[-1:]:
            for name, value in place.items():
                target.setdefault(name, value)
    return out


def levels_in(values: Iterable[str]) -> list[str]:
    """The values that are levels, lowest first."""
    return sorted((value for value in values if value in LEVELS), key=rank)


__all__ = ["Fact", "Question", "Reader", "Reading", "Site", "Use", "levels_in", "text_of"]
