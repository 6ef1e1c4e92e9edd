"""A page's sentences in, what they state about its own IRQL out; sentences about other routines are left alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ingest.ddis.conditions import Condition, read_clause
from ingest.ddis.levels import APC, DISPATCH, HIGH, PASSIVE, Mention, Span, mentions
from ingest.ddis.pages import Paragraph, sentences


@dataclass(frozen=True)
class Statement:
    """One range that a page states of its own routine."""

    span: Span
    condition: Condition | None
    section: str
    requires: bool = False
    """The condition is required for the range (`only if`, `provided that`): the opposite case is then known to be narrower."""


@dataclass(frozen=True)
class Reading:
    """What a page's text says about IRQL."""

    statements: tuple[Statement, ...]
    unclear: tuple[str, ...]
    """Sentences about the routine's own level that this reader could not turn into rows."""
    effect: str
    """The IRQL after the call, `restores`, or empty."""


_SKIP = re.compile(
    r"\b(?:usually|typically|generally|it is best|recommended|improve|for more information|most callers|normally|might temporarily|such as|"
    r"should be designed|not guaranteed to run|even though|see also)\b",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^(?:[(>\s]|\[!\w+\]|Note:?\s(?:that\s)?|However,?\s|In addition,?\s|Additionally,?\s|Also,?\s|Therefore,?\s|Specifically,?\s|But\s|And\s|Important:?\s|Warning:?\s|Caution:?\s)+",
    re.IGNORECASE,
)
_GAP = frozenset(
    "must should can may only also always be is are being been running run runs executing execute executes called invoked at an a the irql level in"
    " arbitrary thread context dpc system and either with that or from allowed to by while both nonarbitrary non-arbitrary on kernel worker which"
    " interrupt generated performed made have has it routine function callback event operate operating valid assigned some safely currently"
    " successfully back use used processor any driver will interrupt-driven".split()
)
_CONNECT = r"only if|if and only if|only when|if|when|whenever|unless|provided that|provided|assuming that|assuming|as long as|so long as|except when|only for|for"
_NEEDED = ("only", "provided", "assuming", "as long", "so long", "if and only")
_RESIDENT = re.compile(
    r"\bmust (?:all |also |both )?(?:be|reside)\b[^.]*\b(?:resident|nonpaged|nonpageable|locked)\b|must not be pageable|must be allocated from nonpaged", re.IGNORECASE
)


class Reader:
    """Reads the text of one page, knowing the names its routine goes by."""

    def __init__(self, names: Iterable[str], callback: bool) -> None:
        """
        Prepare to read one page.

        Args:
            names: The routine's name, aliases and friendly names.
            callback: Whether the page describes a callback.
        """
        named = "|".join(sorted((re.escape(name) for name in names if name), key=len, reverse=True)) or "(?!)"
        kind = r"(?:routine|function|macro|method|API|DDI)"
        if callback:
            kind = r"(?:routine|function|method|callback(?: function| routine)?|event callback(?: function)?|handler)"
        self.named = re.compile(rf"\b(?:{named})\b")
        own = rf"(?:the |an? |your )?(?:[\w-]+(?:'s|’s|s') )?(?:\w+-defined |driver-supplied )?(?:{named})(?:\(\))?(?:'s)?(?: {kind})?s?"
        this = rf"(?:this|these|the) {kind}s?"
        callers = rf"(?:the |a |any |all )?(?:callers?|calling (?:driver|thread|routine)s?)(?: (?:of|to) (?:{own}|{this}))?"
        drivers = r"(?:an? |the |your |all )?(?:[\w-]+ ){0,4}?(?:drivers?|you|PEP|NDIS|Windows|framework|manager|system|KMDF|code|subsystem|client|port|storport|miniport|PSHED|it|PoFx|GpioClx|extension|application|library)"
        self.subject = re.compile(
            rf"^(?:{callers}|{own}|{this}|this(?= (?:may|can|must) )|{drivers}(?: (?:must|should|can|may|might|will|always|only|also)){{0,3}} calls? (?:{own}|{this})(?: only| always)?)(?=\W)",
            re.IGNORECASE,
        )
        self.callback = callback

    def read(self, text: Iterable[Paragraph]) -> Reading:
        """
        Read paragraphs.

        Args:
            text: The page's paragraphs.

        Returns:
            Statements, sentences not understood, and the call's effect on the IRQL.
        """
        found: list[Statement] = []
        unclear: list[str] = []
        effect = ""
        last: Condition | None = None
        open_list: tuple[Span, str] | None = None
        for paragraph in text:
            if paragraph.section not in ("remarks", "description", "parameters"):
                continue
            if open_list and paragraph.item:
                condition = read_clause(paragraph.text)
                if condition:
                    found.append(Statement(open_list[0], condition, paragraph.section))
                else:
                    unclear.append(paragraph.text)
                continue
            open_list = None
            for sentence in sentences(paragraph.text):
                effect = effect or self._effect(sentence)
                if paragraph.section == "parameters" and not re.search(r"\b(?:caller|can only be used|only with)\b", sentence, re.IGNORECASE):
                    continue
                for part in re.split(r";\s+", sentence):
                    if re.search(r"either of the following|following conditions|one of the following", part) and part.rstrip().endswith(":"):
                        clause = self._main(re.sub(r"\b(?:if|when)\b.*", "", part).strip())
                        if clause:
                            open_list = (clause, paragraph.section)
                        continue
                    given = self._sentence(part, paragraph, last)
                    if given is None:
                        if self._mine(part):
                            unclear.append(part)
                        continue
                    for statement in given:
                        found.append(statement)
                        last = statement.condition or last
        return Reading(tuple(_unique(found)), tuple(unclear), effect)

    def _mine(self, sentence: str) -> bool:
        """Whether an unread sentence seems to state this routine's own level."""
        text = _LEAD.sub("", sentence)
        if _SKIP.search(text) or not mentions(text):
            return False
        if re.search(r"\b(?:must|can|should|may|cannot|called|runs?|running|executes?)\b", text) is None:
            return False
        return bool(self.named.search(text) or re.match(r"(?:if|when|for|otherwise|the caller|callers|this|unless|in|on)\b", text, re.IGNORECASE))

    def _sentence(self, sentence: str, paragraph: Paragraph, last: Condition | None) -> list[Statement] | None:
        """Statements of one sentence; None when it is not about this routine's level or not understood."""
        text = _LEAD.sub("", sentence).strip(" .;:)")
        if not mentions(text) or _SKIP.search(text):
            return None
        where = paragraph.section
        inverse = self._inverse(text, where)
        if inverse is not None:
            return inverse
        if re.match(r"otherwise\b", text, re.IGNORECASE):
            rest = re.sub(r"^otherwise,?\s*", "", text, flags=re.IGNORECASE)
            span = self._main(rest)
            other = last.opposite() if last else None
            return [Statement(span, other, where)] if span and other else None
        unicode_codes = re.search(r"unicode format codes?.*\bonly\b", text, re.IGNORECASE)
        if unicode_codes:
            level = mentions(text)[-1].span
            return [Statement(level, Condition({"unicode.conversion": "true"}), where)]
        for_two = re.match(r"(?P<head>.*?) for (?P<a>[^,]*addresses),? (?:and|or) (?:at )?(?P<mid>.*?) for (?P<b>.*)$", text, re.IGNORECASE)
        if for_two and len(mentions(text)) == 2:
            first, second = mentions(text)
            a, b = read_clause(for_two["a"]), read_clause(for_two["b"])
            if self._main(for_two["head"]) and a and b:
                return [Statement(_span(first, for_two["head"]), a, where), Statement(_span(second, for_two["head"]), b, where)]
        leading = self._leading(text, where)
        if leading is not None or re.match(r"(?:if|when|whenever|unless|although|while|because)\b", text, re.IGNORECASE):
            return leading
        trailing = re.match(rf"^(?P<main>.*?),? (?P<how>{_CONNECT})\b (?P<clause>.*)$", text, re.IGNORECASE)
        while trailing:
            span = self._main(trailing["main"])
            if span is not None and mentions(trailing["main"]) and not mentions(trailing["clause"]):
                return self._conditional(span, trailing["clause"], trailing["how"], where)
            later = re.match(rf"^(?P<main>{re.escape(trailing['main'])},? {re.escape(trailing['how'])}\b.*?),? (?P<how>{_CONNECT})\b (?P<clause>.*)$", text, re.IGNORECASE)
            trailing = later if later and later["main"] != trailing["main"] else None
        span = self._main(text)
        if span is None or re.search(
            r"\b(?:if|unless|when|whenever|except|only if|provided|as long as|in which case|in the following|in this case)\b", text[mentions(text)[0].end :]
        ):
            return None
        return [Statement(span, None, where)]

    def _leading(self, text: str, where: str) -> list[Statement] | None:
        start = re.match(r"(?P<how>if|when|whenever|unless|for|in|on|as long as|so long as|provided that|starting with|starting in|beginning with)\b\s*", text, re.IGNORECASE)
        if not start:
            return None
        for comma in re.finditer(r",\s+", text):
            rest = text[comma.end() :]
            if not self.subject.match(rest):
                continue
            if mentions(text[: comma.start()]):
                return None
            span = self._main(rest)
            if span is None:
                continue
            return self._conditional(span, text[start.end() : comma.start()], start["how"], where)
        return None

    def _conditional(self, span: Span, clause: str, how: str, where: str) -> list[Statement] | None:
        how = how.lower()
        if re.fullmatch(r"(?:entry|return)(?: to (?:this|the) \w+)?", clause.strip(), re.IGNORECASE):
            return [Statement(span, None, where)]
        if re.match(r"(?:starting|beginning)", how) or re.search(r"\b(?:windows|server)\b.*\b(?:and later|or later)\b", clause, re.IGNORECASE):
            return [Statement(span, None, where)]
        condition = read_clause(clause)
        if condition is None:
            return None
        if how in ("unless", "except when"):
            condition = condition.opposite()
            if condition is None:
                return None
        return [Statement(span, condition, where, requires=how.startswith(_NEEDED))]

    def _inverse(self, text: str, where: str) -> list[Statement] | None:
        """`At DISPATCH_LEVEL the buffer must be resident`: the level is the condition, the memory the demand."""
        top = mentions(text)[0]
        high = top.span.high
        if high < DISPATCH:
            return None
        caller = r"(?:the caller|a caller|callers|(?:it|this routine) is called|IRQL|[\w/]+ (?:is|are) called|called)"
        demand = _RESIDENT.search(text)
        if (
            demand
            and re.search(rf"\b(?:if|when|while) {caller}\b", text, re.IGNORECASE)
            and (self.named.search(text) or re.search(r"\bcallers?\b|\bcalled at\b|this routine", text))
        ):
            return [
                Statement(Span(PASSIVE, HIGH), Condition({"memory.resident": "true"}), where, requires=True),
                Statement(Span(PASSIVE, APC), Condition({"memory.resident": "false"}), where),
            ]
        pool = re.match(r"a caller (?:executing |running |that runs )?at (?:IRQL ?=? ?)?DISPATCH_LEVEL must (?:have )?specif\w+", text, re.IGNORECASE)
        if pool and (read_clause(text) or Condition()).when.get("memory.pool") == "nonpaged":
            return [
                Statement(Span(PASSIVE, DISPATCH), Condition({"memory.pool": "nonpaged"}), where),
                Statement(Span(PASSIVE, APC), Condition({"memory.pool": "paged"}), where),
            ]
        return None

    def _main(self, clause: str) -> Span | None:
        """The range of a clause `SUBJECT must be running at LEVEL`; None when the subject is another routine."""
        clause = _LEAD.sub("", clause).strip()
        subject = self.subject.match(clause + " ")
        if not subject:
            return None
        named = mentions(clause)
        if not named:
            return None
        level = named[0]
        gap = re.sub(r"\([^)]*\)", " ", clause[subject.end() : level.start])
        words = re.findall(r"[\w'-]+", gap.lower())
        if any(word not in _GAP for word in words):
            return None
        if re.search(r"\b(?:cannot|not)\b", gap):
            return None
        span = _span(level, clause)
        for other in named[1:]:
            between = clause[level.end : other.start]
            if re.fullmatch(r"[\s,]*(?:or|and|and at|or at)?\s*(?:an )?(?:IRQL)?\s*", between):
                span = Span(min(span.low, other.span.low), max(span.high, other.span.high))
        return span

    def _effect(self, sentence: str) -> str:
        own = self.named.search(sentence) or re.search(r"\b[Tt]his (?:routine|function|macro)\b", sentence)
        if not own or self.callback or re.search(r"\bif\b|might|neither|does not|without|Xxx|before it returns", sentence):
            return ""
        verb = re.search(r"\b(raises|resets|sets|restores|lowers)\b(?: the)?(?: original| current| caller's)?(?: original)? ?IRQL", sentence)
        if not verb or verb.start() < own.start() or verb.start() - own.end() > 60:
            return ""
        if re.search(r"\bby (?:raising|calling)|\bbefore it returns\b", sentence) and verb[1] != "restores":
            return ""
        if verb[1] in ("raises", "resets", "sets"):
            named = [mention for mention in mentions(sentence[verb.end() :]) if mention.exact]
            if named and "restores" not in sentence and named[0].span.low in (APC, DISPATCH):
                return named[0].span.names[0]
            return ""
        return "restores" if "raises" not in sentence else ""


def _span(level: Mention, clause: str) -> Span:
    """`can be called at X` allows lower levels too; `must` and `is called at` name one."""
    if level.exact and level.span.high > PASSIVE and re.search(r"\b(?:can|may|allowed)\b", clause) and not re.search(r"\bonly\b", clause):
        return Span(PASSIVE, level.span.high)
    return level.span


def _unique(found: Iterable[Statement]) -> list[Statement]:
    out: list[Statement] = []
    for statement in found:
        if statement not in out:
            out.append(statement)
    return out
