"""Chooses the shape of an answer by the kind of question, and checks that every citation is used."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from kb.answer import refusals, shapes, tables
from kb.answer.cites import Cites, PassageSource
from kb.answer.record import Answer, Cited, Finding
from kb.engine import Knowledge, Verdict, ddi_citations, span
from kb.question import Question
from kb.retriever import Passage
from kb.snippet import Review
from kb.terms import Row
from kb.thresholds import PASSAGE_COSINE, PASSAGE_WORDS

Find = Callable[[Question], Sequence[Passage]]
MARK = re.compile(r"\[(\d+)\](?!\()")


def compose(question: Question, verdict: Verdict, knowledge: Knowledge, find: Find, source: PassageSource | None = None, notice: str = "", review: Review | None = None) -> Answer:
    """
    Write the answer.

    Args:
        question: As read.
        verdict: The engine's; it is shown, never changed.
        knowledge: Rules and tables.
        find: Retrieves passages for a question; called only when the shape wants some.
        source: Shows the paragraphs of ingested pages.
        notice: One line for the reader about the index.
        review: What there is to say about pasted code.

    Returns:
        The answer; every `[n]` in it is in its citations and every citation is used.
    """
    cites = Cites(source, spellings(knowledge))
    if question.refusal:
        return Answer(question, Verdict(), refusals.out_of_scope(question), abstained=True, notice=notice)
    if question.unknown_names and unknown_is_subject(question, verdict):
        text = refusals.unknown_names(question, knowledge, cites)
        if verdict.callable == "no" and question.ddis:
            place = shapes.place_words(verdict.judgements[0].facts, knowledge) if verdict.judgements else "there"
            text += f"\n\n`{question.ddis[0]}` must not be called {place} either: defer the work to code that runs low enough, for instance a work item."
        return finished(Answer(question, Verdict(), text, abstained=True, notice=notice), cites, verdict)
    text = shape(question, verdict, knowledge, cites) if review is None else code(review, verdict, knowledge, cites)
    if text.strip() and review is None and question.kind not in ("why", "howto", "migration", "linux"):
        more = tables.why(question, knowledge, cites, short=True) if REASON.search(question.text) and question.kind != "bugcheck" else ""
        more = more or tables.background(question, cites, BACKGROUND_SCORE)
        text = f"{text}\n\n{more}".strip()
    passages: Sequence[Passage] = ()
    if not text.strip() or question.kind in ("why", "howto") or verdict.outcome == "none" and question.kind not in ("bugcheck", "code"):
        passages = find(question)
        text = with_passages(text, question, passages, cites)
    if question.unknown_names and text.strip():
        text = f"{text}\n\n" + " ".join(f"(`{name}` is not a documented routine; I took it for one of yours.)" for name in question.unknown_names[:2])
    if question.corrected:
        text = " ".join(f"*I read “{said}” as `{meant}`.*" for said, meant in question.corrected[:2] if said.lower() != meant.lower() and said[:3].lower() == meant[:3].lower()) + ("\n\n" if text else "") + text
        text = text.strip()
    if not text.strip():
        return Answer(question, Verdict(), refusals.no_evidence(), abstained=True, notice=notice)
    ask, choices = shapes.ask_for(verdict, knowledge)
    if ask and ask not in text:
        text = f"{text}\n\n**{ask}**"
    if question.aside:
        quoted = "; ".join(f"“{words if len(words) <= ASIDE_LENGTH else words[:ASIDE_LENGTH].rsplit(' ', 1)[0] + ' …'}”" for words in question.aside[:2])
        text += f"\n\n*Not taken as facts about this memory or call: {quoted}.*"
    carried = list(dict.fromkeys(CARRIED.get(name, name) for name in question.carried if CARRIED.get(name, name)))
    if carried:
        text += f"\n\n*Carried over from before: {', '.join(carried)}.*"
    findings = tuple(Finding(one.rule, one.line, one.message, one.fix) for one in review.findings) if review is not None else ()
    answer = Answer(question, verdict, text, findings=findings, ask_back=ask, choices=choices, notice=notice)
    return finished(answer, cites, verdict)


ASIDE_LENGTH = 90  # characters that are quoted of what was left aside
CARRIED = {
    "act": "", "unsure": "", "routine": "the routine", "irql.lowest": "the IRQL", "irql.highest": "the IRQL", "irql.apart": "", "claim.lowest": "", "claim.highest": "", "lock": "the lock held", "ddi": "the call",
    "acquired": "the lock", "object": "the object", "memory.pool": "the pool", "memory.place": "where the memory lives", "execution.level": "the execution level", "windows": "the Windows version",
    "argument.wait": "the `Wait` argument", "wait.timeout": "the time-out", "wait.mode": "the wait mode", "condition": "the case", "io.paging": "the paging path", "pool.argument": "the pool type or flag",
    "memory.locked": "that the pages are locked", "operation.synchronized": "whether the operation is synchronized", "caller": "who sends the requests", "unicode.conversion": "the format codes",
}  # fmt: skip


@functools.lru_cache(maxsize=2)
def _spellings(table: object) -> dict[str, str]:
    from kb.ddis import DdiTable

    assert isinstance(table, DdiTable)
    return {name.lower(): name for name in table.names()}


def spellings(knowledge: Knowledge) -> dict[str, str]:
    """Documented names by their lower-case form, as pages are named by it."""
    return _spellings(knowledge.ddis)


def unknown_is_subject(question: Question, verdict: Verdict) -> bool:
    """Whether a name that does not exist is what the question is about: nothing else it names was judged, or it comes first."""
    if not question.ddis and verdict.outcome == "none":
        return True
    if question.ddis and verdict.callable != "n/a":
        text = question.text.lower()
        return text.find(question.unknown_names[0].lower()) <= text.find(question.ddis[0].lower())
    if verdict.outcome == "none" and question.kind in ("api_irql", "decision"):
        return True
    name = re.escape(question.unknown_names[0])
    return question.kind in ("context", "decision") and bool(re.search(rf"\b(?:irql|level) (?:of|for)\b[^.?!]{{0,12}}\b{name}\b|\b(?:can|may|could) (?:i|we) (?:call|use)\b[^.?!]{{0,12}}\b{name}\b", question.text, re.I))


def shape(question: Question, verdict: Verdict, knowledge: Knowledge, cites: Cites) -> str:
    """The text for the kind of question; empty when nothing is known."""
    kind = question.kind
    if kind == "bugcheck":
        text = tables.bugcheck(question, knowledge, cites)
        if text:
            wanted = any(word in question.text.lower() for word in ("why", "explain", "how do", "how to", "what does it mean"))
            background = tables.why(question, knowledge, cites, short=True) if wanted else ""
            return "\n\n".join(part for part in (text, background) if part)
    if kind == "migration":
        existing = verdict.outcome == "allowed" and all(one.facts.get("act") == "exist" for one in verdict.judgements)
        judged = shapes.decision(question, verdict, knowledge, cites) if verdict.outcome != "none" and not existing else ""
        return "\n\n".join(part for part in (judged, tables.migration(question, knowledge, cites)) if part) or shapes.decision(question, verdict, knowledge, cites)
    if kind == "linux":
        mapped = tables.linux(question, knowledge, cites)
        judged = shapes.api_irql(question, verdict, knowledge, cites) if verdict.outcome != "none" else ""
        background = "" if judged and mapped else tables.why(question, knowledge, cites, short=bool(mapped or judged))
        return "\n\n".join(part for part in (judged, mapped, background) if part)
    if kind in ("why", "howto"):
        granted = verdict.outcome == "allowed" and verdict.pool == "n/a"  # what nobody asked leave for needs no "Yes"
        judged = shapes.decision(question, verdict, knowledge, cites) if verdict.outcome not in ("none", "undetermined") and not granted else ""
        background = tables.why(question, knowledge, cites)
        return "\n\n".join(part for part in (judged, background) if part)
    if kind == "context":
        return shapes.context(question, verdict, knowledge, cites)
    if kind == "api_irql":
        return shapes.api_irql(question, verdict, knowledge, cites) if verdict.judgements else ""
    if kind == "object_storage":
        return shapes.object_storage(question, verdict, knowledge, cites) if verdict.judgements else ""
    if kind == "decision":
        return shapes.decision(question, verdict, knowledge, cites) if verdict.judgements else ""
    return ""


def code(review: Review, verdict: Verdict, knowledge: Knowledge, cites: Cites) -> str:
    """Markdown for pasted code: what is wrong at which line and why, or that nothing certain was found."""
    lines = []
    if review.findings:
        count = len(review.findings)
        lines.append(f"**{count} problem{'s' if count > 1 else ''} in this code.**")
        for one in review.findings:
            lines += ["", f"**Line {one.line}.** {shapes.coded(shapes.sentence(one.message))}{cites.marks(one.citations, 4)}"]
            because = [step for step in one.steps if step.citations][:4]
            if because:
                lines += ["", *(f"- {shapes.coded(shapes.sentence(step.says))}{cites.marks(step.citations, 2)}" for step in because)]
            if one.fix:
                lines += ["", f"*What to do:* {shapes.coded(shapes.sentence(' '.join(one.fix.split())))}"]
    else:
        lines.append("**I found nothing in this code that the rules forbid.** Only what is certain from the code and your words was judged; a caller at a higher IRQL, or a macro that hides a lock, can change that.")
        seen = list(dict.fromkeys(str(use.get("ddi")) for use in review.uses if use.get("ddi")))
        rows = []
        for name in seen[:6]:
            ddi = knowledge.ddis.find(name)
            if ddi is not None and ddi.max:
                rows.append(f"- `{ddi.name}`: {span(ddi.min or 'PASSIVE_LEVEL', ddi.max)}{cites.marks(ddi_citations(ddi, ddi.rows), 2)}")
        if rows:
            lines += ["", "What it calls, and the documented levels:", "", *rows]
    advice = [value for name, value, _ in review.facts if name == "advice"]
    if advice:
        lines += ["", "**Worth knowing**", "", *(f"- {shapes.coded(shapes.sentence(value))}" for value in dict.fromkeys(advice))]
    del verdict
    return "\n".join(lines)


REASON = re.compile(r"\b(why|reason|explain|how come|what for|sense in|point of|benefit|buys? (?:me|us)|what'?s wrong)\b", re.I)
BACKGROUND_SCORE = 0.34  # article score from which a verdict shows its article, folded
RELATED = 3  # official passages shown under an explanation


def with_passages(text: str, question: Question, passages: Sequence[Passage], cites: Cites) -> str:
    """Add what was retrieved: as pointers under an explanation, as the answer itself when there is none."""
    pages = [passage for passage in passages if passage.kind in ("page", "ddi", "team") and bears(passage)]
    ours = [passage for passage in passages if passage.kind in ("rule", "table", "article") and bears(passage)]
    if text.strip():
        fresh = [passage for passage in pages if not any(cited.url == passage.url for cited in cites.cited)][:RELATED]
        if not fresh:
            return text
        lines = [f"- {passage.title}{f', {passage.heading}' if passage.heading and passage.heading != passage.title else ''} [{cites.passage(passage)}]" for passage in fresh]
        return f"{text}\n\n**Official pages on this**\n\n" + "\n".join(lines)
    chosen = (pages or ours)[:RELATED]
    if not chosen:
        return ""
    del question
    lines = ["No rule decides this; these passages of the documentation come nearest:" if pages else "No rule decides this; our notes that come nearest:", ""]
    for passage in chosen:
        excerpt = " ".join(passage.text.split())
        excerpt = excerpt if len(excerpt) <= 420 else excerpt[:420].rsplit(" ", 1)[0] + " …"
        lines.append(f"- **{passage.title}**: {excerpt} [{cites.passage(passage)}]")
    return "\n".join(lines)


def bears(passage: Passage) -> bool:
    """Whether a passage is near enough to be shown."""
    return passage.cosine >= PASSAGE_COSINE or passage.words >= PASSAGE_WORDS


def finished(answer: Answer, cites: Cites, verdict: Verdict) -> Answer:
    """The answer with its citations in order of use, unused ones dropped, and the derivation with numbers."""
    used = {int(mark) for mark in MARK.findall(answer.markdown)}
    steps: list[dict[str, Any]] = []
    if not answer.abstained:
        for step in verdict.derivation:
            numbers = [number for number in cites.numbers(step.citations) if number in used]
            steps.append({"rule": step.rule, "says": step.says, "from": list(step.premises), "citations": numbers})
    order = {old: new for new, old in enumerate(dict.fromkeys(int(mark) for mark in MARK.findall(answer.markdown)), start=1)}
    known = {cited.n for cited in cites.cited}
    markdown = MARK.sub(lambda found: f"[{order[int(found.group(1))]}]" if int(found.group(1)) in known else "", answer.markdown)
    cited = sorted((replace(one, n=order[one.n]) for one in cites.cited if one.n in order), key=lambda one: one.n)
    for entry in steps:
        entry["citations"] = sorted(order[number] for number in entry["citations"])
    return replace(answer, markdown=markdown, citations=tuple(cited), steps=tuple(steps))


__all__ = ["Answer", "Cited", "Finding", "Row", "compose"]
