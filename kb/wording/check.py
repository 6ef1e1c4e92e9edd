"""An answer and a model's wording of it in, the first thing out in which the wording differs; None when it says the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from kb.answer import Answer
from kb.wording.claims import CITE, DOUBT, GLUE_STEMS, MARKS, NAME, NUMBER_WORDS, WINDOWS, Claim, bare, clauses, read, runs, sentences, stem, units

FENCE = re.compile(r"^[ \t]*(```|~~~).*?^[ \t]*\1[ \t]*$", re.S | re.M)
KEPT = re.compile(r"\s*(?:\*I read |\*\*A correction first:|\*\*Assumed:|\*Carried over|\(`)|.*\?\*\*\s*$")  # lines that a wording must leave as they are
LINK = re.compile(r"\]\(|\]\s*:\s*\S|\]\[(?!\d+\])|<\w+:|\b(?:https?|ftp|file|data|javascript|mailto):|\bwww\.", re.I)
HTML = re.compile(r"</?[a-zA-Z!]|&#?\w+;")
INDENTED = re.compile(r"^(?: {4}|\t)\s*(?![-*+\d\s])\S", re.M)
NUMBER = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)*\w*", re.I)
PRONOUN = re.compile(r"(?:it|they|this|that|these|those|both|such)\b", re.I)
DOUBTS = frozenset(map(stem, DOUBT))


def longest(answer: Answer) -> int:
    """Characters that a wording of this answer may have."""
    return len(answer.markdown) * 5 // 4 + 300


def fault(answer: Answer, text: str) -> str | None:
    """
    Compare a wording with the answer.

    Strict on purpose: what cannot be found in the answer is taken for a change of it, since falling back costs little and a wrong level costs a crash.

    Args:
        answer: The deterministic answer.
        text: The model's Markdown.

    Returns:
        What differs, in words that end the sentence "The language model was not used: ..."; None when nothing does.
    """
    if not text.strip():
        return "its answer is empty"
    if len(text) > longest(answer):
        return "its text is too long"
    odd = sorted({sign for sign in text if not (" " <= sign <= "~" or sign in "\n\t‘’“”–—…") or sign in "\\$~^{}&@"} - set(answer.markdown))
    if odd:  # letters that look alike, hidden and struck-out text, formulas
        return f"its text has the character U+{ord(odd[0]):04X}, which the answer does not"
    return citations(answer, text) or blocks(answer, text) or names(answer, text) or statements(answer, text)


def citations(answer: Answer, text: str) -> str | None:
    """A citation that does not exist, or one that backs the verdict and is gone."""
    prose = FENCE.sub("", text)
    used = {int(mark) for mark in re.findall(r"\[(\d{1,6})\]", prose)}
    known = {cited.n for cited in answer.citations}
    if used - known:
        return f"its text cites [{min(used - known)}], which does not exist"
    if re.search(r"\[\s*\d+\s*[,;–-]|\[\s+\d|\[\^|【|\[\d+\s+\]|\[\d{7}", prose):
        return "its text cites in another form than [1]"
    backing = {int(number) for step in answer.steps for number in step["citations"]} or known
    if backing - used:
        return f"its text drops the citation [{min(backing - used)}]"
    return None


def blocks(answer: Answer, text: str) -> str | None:
    """Code, tables, HTML and fixed lines that are not those of the answer, and links that are no citation's."""
    own = answer.markdown
    if [found.group(0) for found in FENCE.finditer(text)] != [found.group(0) for found in FENCE.finditer(own)]:
        return "its code is not that of the answer"
    prose, given = FENCE.sub("", text), FENCE.sub("", own)
    if "```" in prose or "~~~" in prose or INDENTED.search(prose) and not INDENTED.search(own):
        return "its code is not that of the answer"
    if table(prose) != table(given):
        return "its table is not that of the answer"
    lines = {line.strip() for line in given.splitlines()}
    if [line.strip() for line in prose.splitlines() if html(line)] != [line.strip() for line in given.splitlines() if html(line)]:
        return "its HTML is not that of the answer"
    said = [line.strip() for line in prose.splitlines()]
    for line in given.splitlines():
        if (KEPT.match(line) or answer.ask_back and answer.ask_back in line) and line.strip() not in said:
            return f"its text leaves out “{shown(line)}”"
    urls = {cited.url for cited in answer.citations}
    for line in prose.splitlines():
        rest = line
        for url in sorted(urls, key=len, reverse=True):
            rest = re.sub(rf"(?<!!)\[([^\]]*)\]\({re.escape(url)}\)", r"\1", rest)
        if line.strip() not in lines and LINK.search(re.sub(r"`[^`]*`", "", rest)):
            return "its text has a link that is no citation's"
    return None


def html(line: str) -> bool:
    """Whether a line holds HTML outside code marks."""
    return bool(HTML.search(re.sub(r"`[^`]*`", "", line)))


def table(text: str) -> list[str]:
    """The rows of all tables."""
    return [" ".join(line.split()) for line in text.splitlines() if line.lstrip().startswith("|")]


def prose_of(text: str, own: str) -> str:
    """Markdown without code blocks, tables, lines of HTML and the fixed lines of the answer."""
    lines = {line.strip() for line in own.splitlines()}
    return "\n".join("" if line.lstrip().startswith("|") or html(line) or KEPT.match(line) and line.strip() in lines else line for line in FENCE.sub("\n", text).splitlines())


def names(answer: Answer, text: str) -> str | None:
    """A routine, level, pool word, Windows version or number that the answer does not have."""
    own = vocabulary(answer.markdown)
    for kind, name in listed(text):
        if (kind, name.lower()) not in own:
            return f"its text names {kind}`{name}`, which the answer does not"
    return None


@lru_cache(maxsize=64)
def vocabulary(markdown: str) -> frozenset[tuple[str, str]]:
    """Every name, level, version and number of an answer, in lower case."""
    return frozenset((kind, name.lower()) for kind, name in listed(markdown))


def listed(text: str) -> Iterable[tuple[str, str]]:
    """Names, levels, versions and numbers of a text, in order, each with its kind."""
    plain = bare(CITE.sub("", re.sub(r"^\s*\d{1,2}[.)] ", "", text, flags=re.M)))
    for found in WINDOWS.finditer(plain):
        yield "the Windows version ", (found.group(1) or found.group(2))
    for found in re.finditer(r"!?[A-Za-z_][\w-]*|\d[\w.]*\w|\d", WINDOWS.sub(" ", plain)):
        word = found.group(0)
        if word.endswith("_LEVEL") or word.upper() in ("DIRQL", "IRQL"):
            yield "the level ", word.upper()
        elif NUMBER.fullmatch(word):
            yield "the number ", word
        elif NAME.fullmatch(word):
            yield "", word
        elif len(word) > 1 and word.isupper() and word not in ("IT", "NOT", "NO", "YES", "MUST", "MAY", "OK"):
            yield "", word
        elif word.lower() in NUMBER_WORDS:
            yield "the number ", word
    for found in MARKS[-1][0].finditer(plain):
        yield "the level ", str(next(mark for mark in read(found.group(0)).marks))[2:]


@dataclass(frozen=True)
class Told:
    """What an answer says."""

    units: tuple[tuple[Claim, ...], ...]
    """The runs of clauses of each paragraph and list item."""
    sentences: Mapping[str, frozenset[int]]
    """Each sentence as it stands, with the units where it does."""
    leads: frozenset[str]
    headline: tuple[Claim, ...]
    """The sentences that state the verdict."""


@lru_cache(maxsize=64)
def told(markdown: str) -> Told:
    """What an answer says; read once for all wordings of it."""
    all_units = list(units(prose_of(markdown, markdown)))
    every = [sentence for unit in all_units for sentence in sentences(unit)]
    return Told(
        units=tuple(tuple(runs(unit)) for unit in all_units),
        sentences={sentence: frozenset(number for number, unit in enumerate(all_units) if sentence in unit) for sentence in every},
        leads=frozenset(read(sentence).lead for sentence in every),
        headline=tuple(read(sentence) for sentence in sentences(all_units[0])) if all_units else (),
    )


def statements(answer: Answer, text: str) -> str | None:
    """A sentence that the answer does not make, with the same pools, levels, names, conditions and the same must, may or not."""
    own = told(answer.markdown)
    asked = read(answer.question.text[:4000]).words - DOUBTS
    opening = True
    for unit in units(prose_of(text, answer.markdown)):
        before: frozenset[int] = frozenset()
        for sentence in sentences(unit):
            claim = read(sentence)
            if opening and other_outcome(answer, claim, own.headline):
                return f"its first sentence, “{shown(sentence)}”, is not the verdict"
            opening = False
            if claim.lead not in own.leads | {""}:
                return f"“{shown(sentence)}” is not the verdict"
            home = own.sentences.get(sentence, frozenset())
            if not claim.marks and not claim.cites and claim.words <= GLUE_STEMS:
                continue
            home = home or stated(claim, sentence, own, asked)
            if not home:
                return f"the answer does not say “{shown(sentence)}”"
            if claim.marks and PRONOUN.match(claim.text) and before and not home & before:
                return f"“{shown(sentence)}” is said of something else in the answer"
            before = home
    return "its text does not state the verdict" if opening and own.headline else None


def other_outcome(answer: Answer, claim: Claim, headline: tuple[Claim, ...]) -> bool:
    """Whether a first sentence states another outcome than the answer's headline and the verdict."""
    if not headline:
        return False
    first = headline[0]
    if "S:depends" in first.marks or "S:depends" in claim.marks:
        return ("S:depends" in first.marks) != ("S:depends" in claim.marks) or bool(claim.lead)
    if claim.lead:
        return claim.lead != first.lead
    if not first.lead:
        return not any(same(claim, one, frozenset()) for one in headline) if first.marks and answer.verdict.outcome != "none" else False
    sign = "S:+" if first.lead == "yes" else "S:-"
    return sign not in claim.marks


def stated(claim: Claim, sentence: str, own: Told, asked: frozenset[str]) -> frozenset[int]:
    """The units of the answer that make a statement as a whole; or, when it ties no pool or routine to a level, that make it clause by clause."""
    if bare_verdict(claim):
        signs = {mark for mark in claim.marks if mark.startswith("S:")}
        return frozenset({0}) if any(signs == one.firm for one in own.headline) and not claim.cites else frozenset()
    home = frozenset(number for number, unit in enumerate(own.units) if any(same(claim, run, asked if number == 0 else frozenset()) for run in unit))
    if home or claim.has("P:", "L:") or claim.has("D:", "L:") or claim.has("D:", "S:"):
        return home
    pieces = [read(piece) for piece in clauses(CITE.sub("", sentence))]
    if len(pieces) < 2 or sum(len(piece.marks) for piece in pieces) != len(claim.marks):
        return frozenset()
    homes = [frozenset(number for number, unit in enumerate(own.units) if any(same(piece, run, frozenset()) for run in unit)) for piece in pieces if piece.marks or not piece.words <= GLUE_STEMS]
    cited = not claim.cites or any(claim.cites <= run.cites for unit in own.units for run in unit)
    return frozenset.intersection(*homes) if cited and homes else frozenset()  # clauses of one unit: of one subject


def bare_verdict(claim: Claim) -> bool:
    """Whether a sentence says only may or may not, of nothing in particular: *you can do that*."""
    return claim.signed and all(mark.startswith(("S:", "I:")) for mark in claim.marks) and claim.words <= GLUE_STEMS


def same(claim: Claim, run: Claim, asked: frozenset[str]) -> bool:
    """Whether a sentence says what a run of clauses of the answer says, in no other words than its own."""
    if claim.lead not in ("", run.lead) or claim.firm != run.firm or claim.signs != run.signs or "I:if" in run.marks and "I:if" not in claim.marks:
        return False
    if (claim.tangled or run.tangled) and claim.order != run.order:
        return False
    if not claim.cites <= run.cites or not claim.words <= run.words | GLUE_STEMS | asked:
        return False
    # a word left out can be the one that narrows the claim: *threaded DPC*, *paging I/O*
    return run.words - GLUE_STEMS <= claim.words


def shown(text: str) -> str:
    """A sentence cut to what a notice can hold, on one line."""
    text = " ".join(re.sub(r"[`*\[\]()<>|]", "", text.replace("<=", "≤").replace(">=", "≥")).split())
    return text if len(text) <= 90 else text[:90].rsplit(" ", 1)[0] + " …"
