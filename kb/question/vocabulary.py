"""Words in, mentions out: which of them name a row, a fact's value, a level, a documented routine; and the cue phrases among them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import replace

from rapidfuzz import fuzz, process
from rapidfuzz.distance import DamerauLevenshtein

from kb.ddis import DdiTable
from kb.question.words import Mention, Token, singular, tokenize
from kb.terms import Terms
from kb.thresholds import SPELLING_SCORE, TYPO_DISTANCE

# Prefixes of the kernel's own routines (the page "Windows kernel-mode kernel library" and its neighbors list them by prefix).
KERNEL_PREFIX = re.compile(
    r"^(Ke|Ki|Ex|Io|Iof|Mm|Ob|Ps|Rtl|Zw|Nt|Flt|FsRtl|Cc|Hal|Wdf|Ndis|NdisM|StorPort|ScsiPort|Se|Cm|Etw|Po|PoFx|Kd|Dbg|Tm|Wsk|Fwps|Fwpm|USBD_|Hid|Port|Ks|Pc|Acx|Rx|Csq|IoCsq|Ucx|Udecx|Vhf|Wmi|Aux|Clfs|Sdbus|Sp|Nmr|ProbeFor|Interlocked|InterlockedX?|Whea|Pep|Gpio|Spb)"
    r"(?=[A-Z0-9_])"
)
LOWER_PREFIX = re.compile(r"(ke|ex|io|iof|mm|ob|ps|rtl|zw|flt|fsrtl|wdf|ndis|storport|evt|interlocked|irp_mj|dbg|probe|hal|wsk|fwps|driver|po)[a-z0-9_]{4,}", re.I)
DOMAIN_EXTRA = set(
    "routine completion callback worker item pool paged nonpaged spin lock mutex dispatch passive level driver interrupt cancel timer thread memory allocate touch".split()
)
SHORT_WORDS = ("pool", "spin", "lock", "page")  # a word of three letters is one of these with an inner letter left out: `spn lock`, `which pol`
COMMON = set(
    "cool poll tool polls paced paper papers packed packet parked passed passes pasted path paths pause peak plain play please plus point points post posts lack luck look looks last late later latest lead leads leave leaves left less level list lists live local lock locks log logs long loop lose lots love time timed times tired trace trade train tree trees tries true trust turn types word words work works world would write wrong sin sun son pie lack event even ever every driven drive drives river cancels canceled cards care careful case cases cause causes safe same sand save says send sense sent sets shall shape share should show side sign since site size some soon sort spend spent spot stand start state stay step still stop store style such suit sure take taken tale talk task team tell than thank that their them then there these they thing think this those threat though thread touch tough".split()
)
COMPARED = [[word] for word in ("<", ">", "<=", ">=", "below", "above", "under", "up", "at", "lower", "higher", "less", "greater", "between")]
NUMBERS = {"0": "PASSIVE_LEVEL", "zero": "PASSIVE_LEVEL", "1": "APC_LEVEL", "one": "APC_LEVEL", "2": "DISPATCH_LEVEL", "two": "DISPATCH_LEVEL", "three": "DIRQL"} | {
    str(level): "DIRQL" for level in range(3, 13)
}  # of the values that wdm.h gives for x86 and x64; the levels above the devices' differ

COMPARING = frozenset("< > <= >= = == below above under over than lower higher less greater is of at to up least most or equal level".split())


def numbered_level(tokens: list[Token], at: int) -> str:
    """The level that a number after `IRQL` and a comparison names: `irql > 2`, `IRQL >= 2`, `irql is 5`, `irql below two`; empty when it names none."""
    if tokens[at].word not in NUMBERS:
        return ""
    back = at - 1
    while back >= 0 and at - back <= 4 and tokens[back].word in COMPARING:
        back -= 1
    named = back >= 0 and back < at - 1 and tokens[back].word in ("irql", "irqls")
    return NUMBERS[tokens[at].word] if named else ""


class Vocabulary:
    """All phrases of facts, tables and levels, ready to be found in a text."""

    def __init__(self, terms: Terms, ddis: DdiTable) -> None:
        """Index the phrases of *terms* by their first word; *ddis* answers for documented names."""
        self.terms = terms
        self.ddis = ddis
        self._phrases: dict[str, list[tuple[tuple[str, ...], tuple[str, str, str]]]] = {}
        self._names: dict[str, list[tuple[str, str, str]]] = {}
        self._singles: set[str] = set()
        self._buckets: dict[str, list[str]] = {}
        for row in terms.rows():
            for phrase in row.says:
                self._add(phrase, ("row", row.table, row.id))
            for name in row.names:
                parts = tokenize(name)
                if len(parts) == 1:
                    self._names.setdefault(name.lower(), []).append(("row", row.table, row.id))
                elif parts:
                    self._add(name, ("row", row.table, row.id))
        for fact in terms.facts.values():
            for value, phrases in fact.values.items():
                for phrase in phrases:
                    self._add(phrase, ("fact", fact.name, value))
        for level, phrases in (terms.words.get("irql") or {}).items():
            for phrase in phrases:
                self._add(phrase, ("irql", "", level))
        for entries in self._phrases.values():
            entries.sort(key=lambda entry: -len(entry[0]))
        self.acquirers = {name.lower(): row.id for row in reversed(list(terms.tables.get("locks", {}).values())) for name in row.more.get("acquire") or ()}
        self.releasers = {name.lower(): row.id for row in reversed(list(terms.tables.get("locks", {}).values())) for name in row.more.get("free") or ()}
        self._domain = sorted(
            {word for phrase in self._phrases.values() for words, payload in phrase for word in words if len(word) >= 4 and word.isalpha() and payload[0] != "row"} | DOMAIN_EXTRA
        )
        cues = [phrase for group in terms.words.values() for part in (group.values() if isinstance(group, dict) else [group]) for phrase in part]
        self._known = {
            *self._domain,
            *COMMON,
            *(singular(one) for row in terms.rows() for one in re.findall(r"[A-Za-z]+", row.note + " " + row.title)),
            *(singular(word) for phrase in self._phrases.values() for words, _ in phrase for word in words),
            *(singular(word) for phrase in cues for word in re.findall(r"[A-Za-z]+", str(phrase))),
        }
        self._cue_index: dict[str, dict[str, list[tuple[tuple[str, ...], str]]]] = {}

    def _add(self, phrase: str, payload: tuple[str, str, str]) -> None:
        words = tuple(token.word for token in tokenize(phrase))
        if not words:
            return
        entries = self._phrases.setdefault(words[0], [])
        if (words, payload) not in entries:
            entries.append((words, payload))
        if len(words) == 1 and len(words[0]) >= 7:
            self._singles.add(words[0])

    def corrected(self, tokens: list[Token]) -> list[Token]:
        """
        Repair the spelling of the field's words: `pagd pol`, `completon rutine`.

        Args:
            tokens: From `tokenize`.

        Returns:
            The same tokens, a misspelt one with the word it stands for; words that our own texts use elsewhere stay as they are.
        """
        return [replace(token, word=self._repair(token.word)) if len(token.word) >= 3 and token.word.isalpha() and token.text.islower() else token for token in tokens]

    @functools.lru_cache(maxsize=8192)  # noqa: B019 - one vocabulary lives as long as the process
    def _repair(self, word: str) -> str:
        if word in self._known or word in self.ddis:
            return word
        if len(word) == 3:
            return next((one for one in SHORT_WORDS if one[0] == word[0] and one[-1] == word[-1] and (one[0] + one[2:] == word or one[:2] + one[3:] == word)), word)
        limit = 1 if len(word) < 7 else 2
        alike = [one for one in self._domain if one[0] == word[0] and abs(len(one) - len(word)) <= limit]
        best = min(
            ((DamerauLevenshtein.distance(word, one, score_cutoff=limit), len(one) == len(word), one) for one in alike), default=(9, False, word)
        )  # a letter is left out more often than changed
        return best[2] if best[0] <= limit else word

    def find(self, tokens: list[Token]) -> list[Mention]:
        """
        Find everything the text names, longest phrase first, each word used once.

        Args:
            tokens: From `tokenize`.

        Returns:
            Mentions in order of place; one span may carry several (a spin lock is a lock and an object).
        """
        found: list[Mention] = []
        at = 0
        while at < len(tokens):
            hits, length = self._at(tokens, at)
            for kind, table, value in hits:
                words = " ".join(token.text for token in tokens[at : at + length])
                corrected = kind == "ddi" and table == "slip"
                found.append(Mention(kind, table, value, at, at + length - 1, words, corrected=corrected))
            at += max(length, 1)
        return found

    def spoken(self, tokens: list[Token]) -> list[Mention]:
        """
        Find calls that are said without the routine's name: `complete the irp`, `queue a work item`.

        Args:
            tokens: From `tokenize`.

        Returns:
            Mentions of the routines, up to three other words between the words of a pattern.
        """
        found: list[Mention] = []
        words = [token.word for token in tokens]
        for name, patterns in self.terms.spoken:
            if name not in self.ddis:
                continue
            for pattern in patterns:
                for first, word in enumerate(words):
                    if word not in pattern[0]:
                        continue
                    at, last = first, first
                    for alternatives in pattern[1:]:
                        at = next((place for place in range(last + 1, min(last + 5, len(words))) if words[place] in alternatives), -1)
                        if at < 0 or any(words[place] in (".", "?", "!", ";", "and", ",") for place in range(last + 1, at)):
                            at = -1
                            break
                        last = at
                    if at >= 0 and words[last - 1] != "per" and not any(one.first == first for one in found):
                        found.append(Mention("ddi", "spoken", name, first, last, " ".join(token.text for token in tokens[first : last + 1])))
        return found

    def _at(self, tokens: list[Token], at: int) -> tuple[list[tuple[str, str, str]], int]:
        """Payloads of the longest name or phrase that starts at this token, and its length in tokens."""
        token = tokens[at]
        hits: list[tuple[str, str, str]] = []
        length = 0
        level = numbered_level(tokens, at)
        if level:
            return [("irql", "", level)], 1
        if token.word in ("any", "every") and [one.word for one in tokens[at + 1 : at + 2]] == ["irql"] and [one.word for one in tokens[at + 2 : at + 3]][:1] in COMPARED:
            return [], 1  # "any irql < 2" is a range, not every level
        for words, payload in self._phrases.get(token.word, ()):
            if len(words) < length:
                break
            if tuple(one.word for one in tokens[at : at + len(words)]) == words:
                hits.append(payload)
                length = len(words)
        if length <= 1:
            named = self.named(token.text)
            if hits:
                named = [one for one in named if one[0] != "unknown_name"]
            if named:
                return [*named, *(hit for hit in hits if hit not in named)], 1
        if not hits:
            joined = self._joined(tokens, at)
            if joined:
                return joined
            corrected = self._spelling(token)
            if corrected:
                return corrected, 1
        return hits, length

    def named(self, text: str) -> list[tuple[str, str, str]]:
        """Payloads of an identifier: table rows that list it, and the documented routine."""
        bare = text.removesuffix("'s")
        hits = list(self._names.get(bare.lower(), ()))
        if looks_like_name(bare) or bare.lower() in self._names or lower_name(bare) and self.ddis.find(bare) is not None:
            ddi = self.ddis.find(bare)
            if ddi is not None:
                hits.append(("ddi", "", ddi.name))
            elif not hits and KERNEL_PREFIX.match(bare) and len(bare) > 6:
                nearest = self._slip(bare)
                hits.append(("ddi", "slip", nearest) if nearest else ("unknown_name", "", bare))
        return hits

    def _slip(self, name: str) -> str | None:
        """The documented routine that *name* misspells; None when the difference is a meaning (a suffix, a digit), not a slip."""
        if not self._buckets:
            for known in self.ddis.names():
                self._buckets.setdefault(known[:2].lower(), []).append(known)
        alike = [known for known in self._buckets.get(name[:2].lower(), ()) if abs(len(known) - len(name)) <= TYPO_DISTANCE]
        near = sorted((distance, known) for known in alike if (distance := DamerauLevenshtein.distance(known.lower(), name.lower(), score_cutoff=TYPO_DISTANCE)) <= TYPO_DISTANCE)
        return slip(name, tuple(known for _, known in near[:3]))

    def _joined(self, tokens: list[Token], at: int) -> tuple[list[tuple[str, str, str]], int] | None:
        """A routine's name written with blanks: `ke wait for single object`, `exallocatepool with tag`."""
        first = tokens[at].text.lower()
        if not re.match(r"(ke|ex|io|mm|ob|ps|rtl|zw|nt|flt|wdf|ndis|fsrtl|storport)", first) or not first.isalnum():
            return None
        text = first
        best = None
        for more in range(1, 5):
            if at + more >= len(tokens) or not tokens[at + more].text.isalnum():
                break
            text += tokens[at + more].text.lower()
            if len(text) >= 8 and text in self.ddis:
                ddi = self.ddis.find(text)
                best = ([("ddi", "", ddi.name)], more + 1) if ddi else best
        return best

    def _spelling(self, token: Token) -> list[tuple[str, str, str]]:
        """Payloads of the single-word term that a long plain word misspells."""
        if len(token.word) < 7 or not token.word.replace("_", "").isalpha():
            return []
        return self._spelling_of(token.word)

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - one vocabulary lives as long as the process
    def _spelling_of(self, word: str) -> list[tuple[str, str, str]]:
        alike = [single for single in self._singles if single[0] == word[0]]  # a slip rarely hits the first letter
        best = process.extractOne(word, alike, scorer=fuzz.ratio, score_cutoff=SPELLING_SCORE)
        if best is None:
            return []
        return [payload for words, payload in self._phrases[best[0]] if words == (best[0],)]

    def cues(self, group: str, tokens: list[Token]) -> Iterator[tuple[str, int, int]]:
        """
        Find cue phrases of one group of `phrases.yaml`.

        Args:
            group: A key of the file, whose value is a list or a mapping of lists.
            tokens: From `tokenize`.

        Yields:
            The key inside the group (the group itself for a list), first and last token.
        """
        index = self._cue_index.get(group)
        if index is None:
            index = self._cue_index[group] = {}
            entry = self.terms.words.get(group) or ()
            for key, phrases in entry.items() if isinstance(entry, dict) else [(group, entry)]:
                for phrase in phrases:
                    words = tuple(token.word for token in tokenize(str(phrase)))
                    if words:
                        index.setdefault(words[0], []).append((words, key))
        for at, token in enumerate(tokens):
            for words, key in index.get(token.word, ()):
                if tuple(one.word for one in tokens[at : at + len(words)]) == words:
                    yield key, at, at + len(words) - 1


@functools.lru_cache(maxsize=2048)
def slip(name: str, near: tuple[str, ...]) -> str | None:
    """
    The routine a misspelt name stands for.

    Args:
        name: As written.
        near: Documented names, nearest first.

    Returns:
        The name that differs only by a slip of the pen, None when none does.
    """
    for known in near:
        if re.sub(r"\D", "", known) != re.sub(r"\D", "", name):
            continue
        longer, shorter = sorted((known.lower(), name.lower()), key=len, reverse=True)
        if known.lower().startswith(name.lower()) and len(known) - len(name) == 1 and known[-1].islower() and known[-1] not in "saw":
            return known  # the last letter was forgotten
        if longer.startswith(shorter) or longer.endswith(shorter):
            continue  # an added or missing suffix is another routine
        tail = len(name) >= 4 and known[-2:].lower() != name[-2:].lower() and known[:-2].lower() == name[:-2].lower()
        if not tail and DamerauLevenshtein.distance(known.lower(), name.lower()) <= TYPO_DISTANCE:
            return known
    return None


def lower_name(text: str) -> bool:
    """Whether a word in lower case is long enough, or begins as kernel routines do, to be one when the documentation has it: `zwclose`, `etwwrite`."""
    return text.isalpha() and (len(text) >= 12 or len(text) >= 7 and bool(re.match(r"zw|nt|etw|vhf|cm|se|po|rtl|io|mm|ke|ex|flt", text)))


def looks_like_name(text: str) -> bool:
    """Whether a word has the shape of an identifier rather than of an English word."""
    if not re.match(r"[A-Za-z_]\w*(::\w+)*$", text) or len(text) < 4:
        return False
    return "_" in text or any(letter.isupper() for letter in text[1:]) or any(letter.isdigit() for letter in text) or (len(text) >= 8 and bool(LOWER_PREFIX.match(text)))
