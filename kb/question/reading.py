"""A text in, its words out: tokens, clauses, mentions and cues, and what they say by themselves."""

from __future__ import annotations

from dataclasses import replace

from kb.question.bystanders import asides, consequences, hearsay, other_parts, quotations, without
from kb.question.changes import changed
from kb.question.clauses import clauses, scoped
from kb.question.codes import read_bugcheck
from kb.question.pasted import apart
from kb.question.vocabulary import Vocabulary
from kb.question.words import Mention, Token, tokenize

WRITINGS = [[word] for word in ("chapter", "article", "documentation", "doc", "book", "tutorial", "blog", "lecture", "slide", "topic")]  # "I read the interrupt chapter"
SETTINGS = [
    [word] for word in ("config", "configuration", "setting", "vector", "line", "controller", "resource", "count", "storm", "rate", "period", "interval", "latency")
]  # "in the interrupt config", "the timer period"

QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'"})  # as word processors write them
BEGINNING = 5  # words before a colon that only lead in


class Reading:
    """One text and what its words name; every later stage reads it, none changes it."""

    def __init__(self, vocabulary: Vocabulary, text: str, alone: bool = True) -> None:
        """Find the words, once. A text that stands alone asks, with or without a question mark."""
        self.vocabulary = vocabulary
        self.terms = vocabulary.terms
        self.ddi_table = vocabulary.ddis
        self.text = text
        prose, self.snippets = apart(text.translate(QUOTES))
        self.aside: tuple[str, ...] = ()
        self.quoted_pool = False
        tokens = self._begun(vocabulary.corrected(tokenize(prose)))
        if alone and tokens and not self.snippets and not any(token.text in "?" for token in tokens):
            tokens.append(Token("?", "?", len(prose), len(prose)))
        self.tokens = self._about(prose, tokens)
        self.numbers = clauses(self.tokens)
        self.cue_cache: dict[str, list[tuple[str, int, int]]] = {}
        negations = [(first, last) for _, first, last in self.cues("negation")]
        found = vocabulary.find(self.tokens)
        if not any(one.kind == "ddi" for one in found):
            found = sorted([*found, *vocabulary.spoken(self.tokens)], key=lambda one: (one.first, one.last))
        found = [one for one in found if one.table not in ("routines", "locks") or [token.word for token in self.tokens[one.last + 1 : one.last + 2]][:1] not in WRITINGS + SETTINGS]
        doing = [first for key, first, _ in self.cues("acts") if key in ("allocate", "touch", "free")]
        past = [(first, last) for _, first, last in self.cues("used_to")]
        self.mentions, self.gone, self.successors = changed(scoped(found, self.numbers, negations, self.tokens, doing), self.numbers, self.tokens, past)
        routines = [one for one in self.mentions if one.kind == "row" and one.table == "routines"]
        self.cue_cache["acts"] = [  # the words of a routine's name do nothing: "my post create callback"
            (key, first, last) for key, first, last in self.cues("acts") if not any(one.first <= first and last <= one.last for one in routines)
        ]
        named = [one.value for one in self.mentions if one.kind == "row" and one.table == "bugchecks"]
        self.bugcheck = read_bugcheck(text, named, self.terms)

    def _begun(self, tokens: list[Token]) -> list[Token]:
        """The words without what only leads in: `Hi all,`, `quick question:`."""
        while True:
            last = max((last for _, first, last in self.vocabulary.cues("lead_in", tokens) if first == 0), default=-1)
            if last < 0 or last + 1 >= len(tokens) or tokens[last + 1].text not in ",:.!;":
                break
            tokens = tokens[last + 2 :]
        colon = next((at for at, token in enumerate(tokens[: BEGINNING + 1]) if token.text == ":"), 0)
        if colon and colon + 1 < len(tokens) and all(token.text[0].isalpha() for token in tokens[:colon]):
            leading = tokens[:colon]
            if not self.vocabulary.find(leading) and not any(any(self.vocabulary.cues(group, leading)) for group in ("out_of_scope", "kinds", "aside", "speaking")):
                return tokens[colon + 1 :]  # "in our driver: ..."
        return tokens

    def _about(self, prose: str, tokens: list[Token]) -> list[Token]:
        """The words about the code and memory asked about: without what others are quoted as saying and what is said of other things."""

        def cued(group: str) -> list[tuple[int, int]]:
            return [(first, last) for _, first, last in self.vocabulary.cues(group, tokens)]

        spans = [
            *quotations(prose, tokens, cued("speaking")),
            *(span for span in hearsay(tokens, cued("opinion_of"), cued("speaking"), cued("judging")) if not self._reports(tokens, span)),
            *asides(tokens, cued("aside")),
            *other_parts(tokens, cued("other_part")),
            *self._triggers(tokens),
        ]
        left, taken = without(tokens, spans, self._asks) if spans else (tokens, [])
        quoted = [token for first, last in taken for token in tokens[first : last + 1]]
        self.quoted_pool = any(one.table in ("memory.pool", "pool_arguments") for one in self.vocabulary.find(quoted)) or any(self.vocabulary.cues("pool_word", quoted))
        self.aside = tuple(" ".join(prose[tokens[first].start : tokens[last].end].split()).strip("'\"") for first, last in taken)
        return left

    def _reports(self, tokens: list[Token], span: tuple[int, int]) -> bool:
        """Whether an opinion also reports what happens in a place that is not named elsewhere: `claims it must be nonpaged since the DPC reads it`."""
        first, last = span
        places = [one for one in self.vocabulary.find(tokens) if one.kind == "row" and one.table in ("routines", "locks")]
        known = {one.value for one in places if not first <= one.first <= last}
        new = [one for one in places if first <= one.first <= last and one.value not in known]
        own = any({token.word for token in tokens[max(0, one.first - 2) : one.first]} & {"the", "my", "our", "its", "this"} for one in new)  # not "timers run at DISPATCH_LEVEL"
        return own or bool(new) and any(key in ("touch", "free", "allocate", "call") and first <= at <= last for key, at, _ in self.vocabulary.cues("acts", tokens))

    def _triggers(self, tokens: list[Token]) -> list[tuple[int, int]]:
        """Sentences about who triggers a routine of a documented level; not where a lock is taken, nor for a routine that runs at its caller's level."""
        found = self.vocabulary.find(tokens)
        named = [one for one in found if one.kind == "row" and one.table == "routines"]
        calls = [one.first for one in found if one.kind == "ddi" and one.value.lower() not in self.vocabulary.acquirers]
        spans = []
        for first, last in consequences(tokens, [one.last for one in named], calls):
            outside = [self.terms.row("routines", one.value) for one in named if not first <= one.first <= last]
            locked = any(one.table == "locks" and first <= one.first <= last for one in found)
            if outside and not locked and all(row is not None and row.more.get("level") != "caller" for row in outside):
                spans.append((first, last))
        return spans

    def _asks(self, tokens: list[Token]) -> bool:
        """Whether words still name a place, and memory or a call."""
        found = self.vocabulary.find(tokens)
        place = any(one.kind == "irql" or one.kind == "row" and one.table in ("routines", "locks") or one.value.lower() in self.vocabulary.acquirers for one in found)
        memory = any(one.kind == "ddi" or one.table in ("memory.pool", "pool_arguments", "allocators") for one in found)
        memory = memory or any(key == "allocate" for key, _, _ in self.vocabulary.cues("acts", tokens))
        return place and (memory or any(self.vocabulary.cues("pool_question", tokens)) or any(self.vocabulary.cues("pool_word", tokens)))

    def cues(self, group: str) -> list[tuple[str, int, int]]:
        """Cues of one group, found once."""
        if group not in self.cue_cache:
            self.cue_cache[group] = list(self.vocabulary.cues(group, self.tokens))
        return self.cue_cache[group]

    def rows(self, table: str, negated: bool = False) -> list[Mention]:
        """Mentions of a table's rows."""
        return [one for one in self.mentions if one.kind == "row" and one.table == table and (negated or not one.negated)]

    def named_facts(self, name: str) -> list[Mention]:
        """Mentions of a fact's values that are not negated."""
        unsure = self.unsure_clauses()
        found = [one for one in self.mentions if one.kind == "fact" and one.table == name and not one.negated and not self.doubted(one, unsure)]
        if name == "windows":  # "before Windows 8" is not Windows 8
            found = [
                one
                for one in found
                if not {token.word for token in self.tokens[max(0, one.first - 2) : one.first]} & {"before", "older", "earlier"}
                or one.words.lower().startswith(("before", "below", "older", "earlier", "pre"))
            ]
        if name == "memory.place":  # "CacheMutex itself is in the device extension" places another thing than the memory asked about
            found = [one for one in found if not any(token.word == "itself" and self.numbers[at] == one.clause for at, token in enumerate(self.tokens))]
        return found

    def versions(self) -> list[Mention]:
        """Windows versions that something is asked of; one in a sentence of its own only says where all of this is: `... pool? (Windows 11, x64)`."""
        tokens = self.tokens
        ends = [at for at, token in enumerate(tokens) if token.text in ".!?;" and (at + 1 == len(tokens) or tokens[at + 1].start > token.end)]  # not in ".sys"
        found = []
        for one in self.named_facts("windows"):
            first = max((at + 1 for at in ends if at < one.first), default=0)
            last = min((at for at in ends if at > one.first), default=len(tokens))
            asked = any(first <= at < last for _, at, _ in self.cues("exist"))
            named = any(first <= other.first < last and other.kind in ("ddi", "row") for other in self.mentions)
            if first == 0 or asked or named:
                found.append(one)
        return found

    def unsure_clauses(self) -> set[int]:
        """Clauses that say that something is not known."""
        return {self.numbers[first] for _, first, _ in self.cues("unsure")}

    def doubted(self, mention: Mention, clauses: set[int]) -> bool:
        """Whether the text says of a mention that it is not known: `I don't know if it has PassiveHandling`."""
        return mention.clause in clauses and any(last < mention.first and self.numbers[first] == mention.clause for _, first, last in self.cues("unsure"))

    def pool_mentions(self) -> list[Mention]:
        """Pools named, by word or by a POOL_TYPE or POOL_FLAGS value."""
        found = self.named_facts("memory.pool")
        for one in self.rows("pool_arguments"):
            row = self.terms.row("pool_arguments", one.value)
            pool = str(row.more.get("pool", "")) if row else ""
            if pool in ("paged", "nonpaged"):
                found.append(replace(one, kind="fact", table="memory.pool", value=pool))
        return sorted(found, key=lambda one: one.first)

    def speaks_of_pool(self) -> bool:
        """Whether the text names a pool or asks for one."""
        return bool(self.pool_mentions() or self.cues("pool_question") or self.quoted_pool)
