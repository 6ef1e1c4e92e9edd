"""Markdown in, what it claims out: the levels, pools, names, numbers, conditions and "must / may / not" of every sentence, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Words that carry no claim of their own: a wording may add and drop them. No noun of the field is among them.
GLUE = frozenset(
    """a about actually again also although an and another answer are as at be because been being both brief briefly but by case consequence
    consequently down each either else first following for from gets given gives had happens has have having here how however i in instead into is it its itself
    just kind like makes matter mean means meanwhile moreover more most my namely next now of off on once one or other others otherwise our out over own per
    point rather reason reasons same say says second see short shortly simply since so some still such than that the their them then there therefore these they
    thing things third this those though through thus to too two under up us use used uses using very was way we well were what whatever when where whereas
    whether which while who whose why with within you your yours conclusion follows explains explanation background detail details summary note
    irql level levels""".split()
)
# Said of a claim, these turn it round; a wording may use one only where the answer does.
DOUBT = frozenset(
    """myth false falsely untrue lie incorrect incorrectly mistaken mistake mistakenly wrong wrongly problem problems issue issues concern concerns worry prevent
    prevents stop stops ignore ignored ignoring obsolete outdated unlike contrary supposedly allegedly claim claims claimed despite regardless actually nominally
    hardly barely rarely seldom harmless overly unless""".split()
)
LEVELS = {"passive": "PASSIVE_LEVEL", "apc": "APC_LEVEL", "dispatch": "DISPATCH_LEVEL", "high": "HIGH_LEVEL"}
LEVEL = r"(?:(?:PASSIVE|APC|DISPATCH|HIGH|PROFILE|CLOCK2?|IPI|POWER|CMCI|SYNCH|DEVICE)_LEVEL|DIRQL|(?:passive|apc|dispatch|high) level|dispatch(?! (?:routine|table|entry|code|object|path)))"
# Phrases of one meaning are written as one mark, longest first: `§` and a letter for its category.
MARKS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.I), mark)
    for pattern, mark in (
        (r"\bnon[\s-]?pag(?:ed|e?able)\b(?: pool)?", "§P:nonpaged"),
        (r"\bpaged[ -]out\b", "§P:out"),
        (r"\bpag(?:e?able)\b", "§P:pageable"),
        (r"\bpaged\b(?: pool)?", "§P:paged"),
        (r"\bresident\b", "§P:resident"),
        (r"\bpools?\b", "§P:pool"),
        (rf"\b({LEVEL})[`*]*,? or (?:above|higher)\b", r"§C:ge \1"),
        (rf"\b({LEVEL})[`*]*,? (?:or|and) (?:below|lower|less)\b", r"§C:le \1"),
        (rf"(?:\bat or below|\bup to|\bat most|\bno (?:higher|more) than|\bnot above|<=|≤)(?= (?:irql )?{LEVEL})", "§C:le"),
        (rf"(?:\bat or above|\bat least|\bnot below|>=|≥)(?= (?:irql )?{LEVEL})", "§C:ge"),
        (rf"(?:\b(?:above|higher than|more than)|(?<!=)>)(?= (?:irql )?{LEVEL})", "§C:gt"),
        (rf"(?:\b(?:below|lower than|less than)|<(?!=))(?= (?:irql )?{LEVEL})", "§C:lt"),
        (r"\b(?:above|higher|more|raised?|raising)\b(?! than)", "§C:above"),
        (r"\b(?:below|lower|less)\b", "§C:below"),
        (r"\b(?:not|isn't|never) (?:forbidden|prohibited|illegal|wrong|disallowed|impossible|invalid|unsafe|bad|fatal|unlike\w*)\b", "§?"),
        (r"\b(?:not|isn't|non-?) ?zero\b|\bnonzero\b", "§C:nonzero"),
        (r"\bzero\b", "§C:zero"),
        (r"\b(?:infinite|for ever|forever)\b", "§C:infinite"),
        (r"\bnull\b", "§C:null"),
        (r"\b(?:unless|except|other than|apart from)\b", "§C:unless"),
        (r"\b(?:only|solely|exclusively)\b", "§C:only"),
        (r"\bexactly\b", "§C:exactly"),
        (r"\b(before|after|until|during)\b", r"§C:\1 "),
        (r"\bneither\b([^.;:]*?)\bnor\b", r"§S:- \1 or "),
        (r"\b(?:any|every|all|always|even|whichever|anywhere|whenever)\b", "§C:any"),
        (r"\b(?:if|provided|where|when|while|as long as)\b", "§I:if"),
        (r"\b(?:depends?|depending)\b", "§S:depends"),
        (r"\b(?:not|n't) (?:be )?(?:needed?|required?|necessary|have to)\b|\bneed ?n[o']t\b|\b(?:do|does|is|are)(?: not|n't) (?:need|require|have to)\w*", "§S:needless"),
        (r"\b(?:can ?not|can't|must not|mustn't|may not|should not|shouldn't|will not|won't|could not|couldn't|do not|don't|does not|doesn't|is not|isn't|are not|aren't|am not)\b", "§S:-"),
        (r"\b(?:not|no|none|never|neither|nor|nothing|nobody|nowhere|without|forbidden|prohibited|illegal|disallowed|unsafe|invalid|impossible|avoid\w*|refus\w*|cannot|fatal|\w+n't)\b", "§S:-"),
        (r"\b(?:may|can|could|might|allow(?:s|ed)?|permit(?:s|ted)?|fine|ok|okay|safe|safely|possible|legal|legally|valid|acceptable|suitable|works|free to|able to|enough|sufficient|yes)\b", "§S:+"),
        (r"\b(?:must|has to|have to|needs?|needed|requires?|required|required to|should|shall|recommend\w*|prefer\w*|choose|pick|switch|mandatory|necessary|(?:(?<=^)|(?<=[.:;] ))use)\b", "§S:!"),
        (rf"\b{LEVEL}\b", "§L:"),
    )
)
TOKEN = re.compile(r"§[A-Z?](?::\S+)?|0x[0-9a-f]+|!?[A-Za-z_]\w*(?:['’-][A-Za-z]+)*|\d+(?:\.\d+)*\w*|[.,;:()]", re.I)
NAME = re.compile(r"!\w+|\w*_\w*|\w*[a-z]\w*[A-Z]\w*|[A-Za-z]+\d\w*|\d+[A-Za-z]\w*")
CITE = re.compile(r"\s*\[(\d+)\](?!\()")
SENTENCE = re.compile(r".+?(?:[.!?](?=[\s*\"”)]|$)[*\"”)]*(?:\s*\[\d+\])*|$)", re.S)
SPLIT = re.compile(r"(?<=[;:])\s+|\s+[—–]\s+|,?\s+(?=(?:but|because|so|whereas|although|since|therefore)\b)", re.I)
WINDOWS = re.compile(r"\bwindows (?:server )?(\d+(?:\.\d+)?|xp|vista|nt|me)\b|\bversion (\d\w+)\b", re.I)
LEAD = re.compile(r"\s*(yes|no)\b(?:[,.:;!]|\s*[—–])\s*", re.I)
NUMBER_WORDS = frozenset("three four five six seven eight nine ten eleven twelve sixteen twenty thirty fifty hundred thousand million half twice thrice kilobyte kilobytes megabyte megabytes".split())


@dataclass(frozen=True)
class Claim:
    """What one sentence, or a run of clauses, says."""

    marks: tuple[str, ...]
    """`L:` levels, `P:` pools, `D:` names, `N:` numbers, `C:` conditions, `S:` must, may and not, in order."""
    words: frozenset[str] = frozenset()
    """Stems of its other words."""
    cites: frozenset[int] = frozenset()
    lead: str = ""
    """`yes` or `no`, when it begins so."""
    text: str = ""

    @property
    def signed(self) -> bool:
        """Whether it says that something must, may or must not be."""
        return any(mark.startswith("S:") for mark in self.marks)

    @property
    def firm(self) -> frozenset[str]:
        """Its marks without "if", which a wording may add."""
        return frozenset(self.marks) - {"I:if"}

    @property
    def signs(self) -> list[str]:
        """Each must, may and not that it says, as often as it does."""
        return sorted(mark for mark in self.marks if mark.startswith("S:"))

    @property
    def order(self) -> tuple[str, ...]:
        """Its marks in order, a repeated one once."""
        kept = [mark for mark in self.marks if mark != "I:if"]
        return tuple(mark for number, mark in enumerate(kept) if not number or kept[number - 1] != mark)

    @property
    def tangled(self) -> bool:
        """Whether the order of its marks matters: two of a category could change places."""
        return any(len({mark for mark in self.marks if mark.startswith(category)}) > 1 for category in ("L:", "P:", "S:", "D:", "C:", "N:"))

    def has(self, *categories: str) -> bool:
        """Whether there is a mark of each category."""
        return all(any(mark.startswith(category) for mark in self.marks) for category in categories)


def stem(word: str) -> str:
    """A word without its ending, so that *touched* and *touch* are one."""
    word = re.sub(r"['’]s?$", "", word.lower())
    return re.sub(r"(?:ing|ed|es|s|e|ly)$", "", word) if len(word) > 3 else word


GLUE_STEMS = frozenset(map(stem, GLUE))


def bare(text: str) -> str:
    """Text without code marks and emphasis."""
    return re.sub(r"[`*“”\"]|(?<!\w)_(?=\w)|(?<=\w)_(?!\w)", "", text)


def read(text: str) -> Claim:
    """What a piece of Markdown without code blocks and tables says."""
    cites = frozenset(int(mark) for mark in CITE.findall(text))
    plain = " ".join(bare(CITE.sub("", text)).split()).replace("’", "'")
    lead = LEAD.match(plain) or re.fullmatch(r"\s*(yes|no)\W*", plain, re.I)
    rest = plain[lead.end() :] if lead else plain
    rest = WINDOWS.sub(lambda found: f" §W:{(found.group(1) or found.group(2)).lower()} ", rest)
    for pattern, mark in MARKS:
        rest = pattern.sub((lambda found: f" §L:{level(found.group(0))} ") if mark == "§L:" else f" {mark} " if "\\1" not in mark else mark, rest)
    marks: list[str] = []
    words: set[str] = set()
    gap = 9  # words since the last sign
    for piece in TOKEN.findall(rest):
        gap += 1
        if piece.startswith("§"):
            mark = piece[1:]
            if mark.startswith("S:"):
                if gap <= 3 and marks and marks[-1].startswith("S:"):
                    marks[-1] = joined(marks[-1], mark)
                else:
                    marks.append(mark)
                gap = 0
            else:
                marks.append(mark)
        elif piece in ".,;:()" or piece.lower() in ("and", "or"):
            gap = 9
        elif NAME.fullmatch(piece):
            marks.append(f"D:{piece.lower()}")
        elif piece[0].isdigit() or piece.lower() in NUMBER_WORDS:
            marks.append(f"N:{piece.lower()}")
        else:
            words.add(stem(piece))
    return Claim(tuple(marks), frozenset(words), cites, lead.group(1).lower() if lead else "", plain)


def level(words: str) -> str:
    """The level's name as wdm.h has it: `dispatch level` is `DISPATCH_LEVEL`."""
    return LEVELS.get(words.lower().split()[0], words.upper())


def joined(first: str, second: str) -> str:
    """Two signs side by side as one: *may never* is a *not*, *need not* is not."""
    pair = {first, second}
    if "S:depends" in pair or "S:needless" in pair:
        return "S:depends" if "S:depends" in pair else "S:needless"
    if first == second == "S:-":
        return "S:?"  # a double not: only the answer's own will do
    return "S:-" if "S:-" in pair else "S:!" if "S:!" in pair else "S:+"


def units(markdown: str) -> Iterator[str]:
    """Paragraphs and list items, each as one line."""
    held: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        item = re.match(r"\s*(?:[-*+]|\d{1,2}[.)])\s+|\s*#{1,6}\s+|\s*>\s?", line)
        if (item or not line.strip()) and held:
            yield " ".join(held)
            held = []
        rest = line[item.end() :] if item else line
        if rest.strip():
            held.append(rest.strip())
        if item and "#" in item.group(0) and held:
            yield " ".join(held)
            held = []


def sentences(unit: str) -> list[str]:
    """The sentences of a unit, each with the citations behind its full stop."""
    found = [piece.group(0).strip() for piece in SENTENCE.finditer(unit) if re.search(r"[\w\]]", piece.group(0))]
    for number in range(len(found) - 2, -1, -1):
        if re.fullmatch(r"\W*(?:yes|no)\W*", found[number], re.I):  # *No.* belongs to what follows
            found[number : number + 2] = [f"{found[number]} {found[number + 1]}"]
    return found


def clauses(sentence: str) -> list[str]:
    """The clauses of a sentence."""
    return [piece for piece in SPLIT.split(sentence) if re.search(r"\w", piece)]


def runs(unit: str) -> Iterator[Claim]:
    """
    Everything that a unit says which may be said alone: each run of neighboring clauses.

    A clause that says *may*, *must* or *not* is never parted from one of its sentence that only gives a level, a pool or a condition.
    """
    pieces = [(number, piece) for number, sentence in enumerate(sentences(unit)) for piece in clauses(sentence)]
    all_cites = frozenset(int(mark) for mark in CITE.findall(unit))
    claims = [read(piece) for _, piece in pieces]
    for first in range(len(pieces)):
        for last in range(first, min(first + 6, len(pieces))):
            run = read(" ".join(piece for _, piece in pieces[first : last + 1]))
            beside = [other for other, side in ((first - 1, first), (last + 1, last)) if 0 <= other < len(pieces) and pieces[other][0] == pieces[side][0]]
            if run.signed and any(claims[other].marks and not claims[other].signed for other in beside):
                continue
            yield Claim(run.marks, run.words, all_cites, claims[first].lead, run.text)
