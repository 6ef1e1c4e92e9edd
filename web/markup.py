"""An Answer in, HTML out. Everything that comes from a user or a page is escaped: it is data, never markup."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from kb.answer import Answer, Cited, Finding
from web.markdown import highlight, render

VERDICTS = {"allowed": ("✓", "Allowed"), "forbidden": ("✕", "Not allowed"), "undetermined": ("?", "It depends")}
POOLS = {
    "nonpaged_required": "nonpaged pool required",
    "paged_ok": "paged pool is fine",
    "either": "either pool is fine",
    "not_allowed": "no pool can be used there",
    "depends": "pool not decided yet",
}
KINDS = {"rule": "Rule book", "article": "Article", "page": "Documentation", "ddi": "DDI reference", "team": "Team document"}
OURS = ("rule", "article")
CARRIED = re.compile(r"\n*\*Carried over from before: [^\n]*\*\s*$")
SHOWN = 1600  # characters of a passage; the link leads to the rest
DOCUMENTATION = "learn.microsoft.com"


def turn(number: int, asked: str, answer: Answer) -> str:
    """
    One question with its answer.

    Args:
        number: Place in the conversation, from 1; ids are made of it.
        asked: What the user typed.
        answer: The answer to it.

    Returns:
        A section that stands alone.
    """
    body = "".join(
        (
            verdict_line(answer),
            notice(answer.notice),
            answer_text(number, answer),
            findings(number, answer),
            ask_back(answer),
            carried(answer),
            sources(number, answer.citations),
            how_read(number, answer),
            actions(asked, answer),
        )
    )
    return _turn(number, asked, body, announcement(answer), answer.findings)


def waiting(number: int, asked: str) -> str:
    """A question whose answer is being worked out."""
    return _turn(number, asked, '<p class="pw-waiting"><span class="pw-dot" aria-hidden="true"></span>Reading the question …</p>', "")


def failed(number: int, asked: str, message: str) -> str:
    """A question that could not be answered because of a fault of ours."""
    return _turn(number, asked, notice(message), message)


def _turn(number: int, asked: str, body: str, announced: str, found: Sequence[Finding] = ()) -> str:
    return (
        f'<section class="pw-turn" id="turn-{number}" aria-labelledby="question-{number}" data-announce="{html.escape(announced)}">'
        f'{question(number, asked, found)}<div class="pw-answer">{body}</div></section>'
    )


def question(number: int, asked: str, found: Sequence[Finding] = ()) -> str:
    """What was asked: its first line as a heading; longer text and code below it, with line numbers."""
    lines = asked.strip().splitlines() or [""]
    hidden = f'<span class="pw-hidden">Question {number}: </span>'
    if len(lines) == 1:
        return f'<h2 class="pw-question" id="question-{number}">{hidden}{html.escape(lines[0])}</h2>'
    prose, code = split_code(lines)
    if not code:
        return f'<h2 class="pw-question" id="question-{number}">{hidden}{"<br>".join(html.escape(line) for line in lines)}</h2>'
    marked = {finding.line for finding in found}
    rows = "".join(
        f'<span class="{"pw-line pw-marked" if at in marked else "pw-line"}" id="line-{number}-{at}"><span class="pw-number" aria-hidden="true">{at}</span>{text or " "}</span>'
        for at, text in enumerate(highlight("\n".join(code)).removesuffix("\n").split("\n"), start=1)
    )
    title = " ".join(line.strip() for line in prose if line.strip()) or "Review this code"
    return (
        f'<h2 class="pw-question" id="question-{number}">{hidden}{html.escape(title)}</h2>'
        f'<pre class="pw-code pw-numbered" tabindex="0" aria-label="The code in question {number}"><code>{rows}</code></pre>'
    )


def split_code(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The prose lines and the code lines of a pasted question, fences left out."""
    fences = [at for at, line in enumerate(lines) if line.lstrip().startswith("```")]
    if fences:
        last = fences[1] if len(fences) > 1 else len(lines)
        return [*lines[: fences[0]], *lines[last + 1 :]], list(lines[fences[0] + 1 : last])
    if not any(re.search(r"[;{}]\s*(//.*)?$", line) for line in lines):
        return list(lines), []
    starts = [at for at, line in enumerate(lines) if re.search(r"[;{}()]\s*(//.*)?$|^\s*#|^\s*/[*/]", line)]
    return list(lines[: starts[0]]), list(lines[starts[0] :])


def verdict_line(answer: Answer) -> str:
    """The verdict as a chip with a sign and words, beside it what it comes to; empty for an explanation."""
    if answer.abstained:
        return '<p class="pw-verdict pw-none"><strong class="pw-chip"><span class="pw-sign" aria-hidden="true">–</span>No verdict</strong></p>'
    verdict = answer.verdict
    tags = []
    if verdict.pool in POOLS:
        tags.append(html.escape(POOLS[verdict.pool]))
    if verdict.max_irql:
        tags.append(level_tag(verdict.min_irql, verdict.max_irql))
    tag_html = "".join(f'<span class="pw-tag">{tag}</span>' for tag in tags)
    if verdict.outcome not in VERDICTS:
        return f'<p class="pw-verdict">{tag_html}</p>' if tags else ""
    sign, words = VERDICTS[verdict.outcome]
    return f'<p class="pw-verdict pw-{html.escape(verdict.outcome)}"><strong class="pw-chip"><span class="pw-sign" aria-hidden="true">{sign}</span>{words}</strong>{tag_html}</p>'


def level_tag(lowest: str | None, highest: str) -> str:
    """An IRQL range in few words, as HTML."""
    if lowest == highest:
        return f"<code>IRQL = {html.escape(highest)}</code>"
    if highest == "HIGH_LEVEL":
        return "any IRQL" if lowest in (None, "PASSIVE_LEVEL") else f"<code>IRQL &gt;= {html.escape(str(lowest))}</code>"
    low = f"{html.escape(lowest)} &lt;= " if lowest not in (None, "PASSIVE_LEVEL") else ""
    return f"<code>{low}IRQL &lt;= {html.escape(highest)}</code>"


def notice(text: str) -> str:
    """One line about the state of the program; empty when all is well."""
    return f'<p class="pw-notice"><span class="pw-sign" aria-hidden="true">!</span>{html.escape(text)}</p>' if text else ""


def answer_text(number: int, answer: Answer) -> str:
    """The answer's own text, its marks linked to the sources; what is shown apart (the question back, carried facts) left out."""
    text = CARRIED.sub("", answer.markdown) if answer.question.carried else answer.markdown
    if answer.ask_back:
        text = text.rstrip().removesuffix(f"**{answer.ask_back}**").rstrip() or text
    linked = {cited.n: (source_id(number, cited), cited.title) for cited in answer.citations}
    return f'<div class="pw-text">{render(text, linked)}</div>'


def findings(number: int, answer: Answer) -> str:
    """What is wrong in pasted code, each with a link to its line; the message only where the answer's own text does not tell it."""
    if not answer.findings:
        return ""
    rows = "".join(finding(number, one, told=one.message in answer.markdown) for one in answer.findings)
    return f'<h3>Rules broken</h3><ul class="pw-findings">{rows}</ul>'


def finding(number: int, one: Finding, told: bool) -> str:
    """One finding: its line, what is wrong, the fix, the rule."""
    rule = f' <a href="/rules/{html.escape(one.rule)}" target="_blank"><code>{html.escape(one.rule)}</code></a>' if re.fullmatch(r"[a-z0-9-]+", one.rule) else ""
    message = "" if told else f" {_inline(one.message)}"
    fix = f'<div class="pw-fix"><span>Fix:</span> {_inline(one.fix)}</div>' if one.fix and not told else ""
    return f'<li><a class="pw-where" href="#line-{number}-{one.line}">line {one.line}</a>{message}{rule}{fix}</li>'


def _inline(text: str) -> str:
    """One line of Markdown."""
    return re.sub(r"^<p>|</p>$", "", render(text).strip())


def ask_back(answer: Answer) -> str:
    """The one question that would settle the verdict, with its answers as buttons."""
    if not answer.ask_back:
        return ""
    buttons = "".join(f'<button type="button" class="pw-choice" data-ask="{html.escape(choice)}">{_inline(choice)}</button>' for choice in answer.choices)
    choices = f'<div class="pw-choices">{buttons}</div>' if buttons else ""
    return f'<div class="pw-back" role="group" aria-label="What would settle it"><p>{_inline(answer.ask_back)}</p>{choices}</div>'


def carried(answer: Answer) -> str:
    """Facts that come from earlier questions of the conversation."""
    if not answer.question.carried:
        return ""
    values = {fact.name: fact.value for fact in answer.question.facts if fact.carried}
    names = [f"<code>{html.escape(name + (f' = {values[name]}' if name in values else ''))}</code>" for name in answer.question.carried if name != "act"]
    return f'<p class="pw-carried">Carried over: {", ".join(names)}</p>' if names else ""


def source_id(number: int, cited: Cited) -> str:
    """The id of a source's element."""
    return f"source-{number}-{cited.n}"


def sources(number: int, citations: Sequence[Cited]) -> str:
    """The numbered sources, folded."""
    if not citations:
        return ""
    items = "".join(source(number, cited) for cited in citations)
    return f'<details class="pw-sources" id="sources-{number}"><summary>Sources <span class="pw-count">{len(citations)}</span></summary><ol>{items}</ol></details>'


def source(number: int, cited: Cited) -> str:
    """One source: number, title, link, kind, and the passage with the supporting words marked."""
    address = local_address(cited.url)
    title = html.escape(cited.title)
    if address:
        title = f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer">{title}</a>'
    tags = [KINDS.get(cited.kind, "Source")]
    tags += ["our own text"] if cited.kind in OURS else ["not in the driver documentation"] if cited.outside else []
    labels = "".join(f'<span class="{"pw-label pw-outside" if cited.outside and tag is tags[-1] else "pw-label"}">{tag}</span>' for tag in tags)
    where = f'<div class="pw-place">{html.escape(place(cited))}</div>' if cited.url else ""
    passage, own = quoted(cited)
    if passage:
        kind, who = ("pw-own", "In our words") if own else ("pw-page", "The page")
        passage = f'<blockquote class="{kind}"><span class="pw-who">{who}</span>{passage}</blockquote>'
    return (
        f'<li id="{source_id(number, cited)}" value="{cited.n}" tabindex="-1"><div class="pw-head"><span class="pw-n" aria-hidden="true">{cited.n}</span>'
        f'<div class="pw-names"><span class="pw-title">{title}</span>{labels}</div></div>{where}{passage}</li>'
    )


def place(cited: Cited) -> str:
    """Where a source stands, readable: host and path without the scheme."""
    text = re.sub(r"^https?://(www\.)?", "", cited.url)
    return text if "#" in text or not cited.section else f"{text}#{cited.section}"


def local_address(url: str) -> str:
    """The link of a source: public addresses as they are, rules and articles as pages of this server; empty for anything else."""
    if url.startswith(("https://", "http://")):
        return url
    found = re.fullmatch(r"(?:docs/(rules)|kb/knowledge/(articles))/([a-z0-9-]+)\.md(?:#.*)?", url)
    return f"/{found.group(1) or found.group(2)}/{found.group(3)}" if found else ""


def quoted(cited: Cited) -> tuple[str, bool]:
    """The passage as HTML with the supporting words marked, and whether the words are ours rather than the page's."""
    text = cited.text.strip()
    if len(text) > SHOWN:
        text = text[:SHOWN].rsplit(" ", 1)[0] + " …"
    return marked(text, cited.terms).replace("\n", "<br>"), is_ours(cited)


def is_ours(cited: Cited) -> bool:
    """Whether the text is our summary rather than the page's own paragraph."""
    if cited.kind in OURS or cited.outside:
        return True
    told = getattr(cited, "ours", None)
    text = " ".join(cited.text.lower().split())
    return bool(told) if told is not None else not all(term.lower() in text for term in cited.terms)


def marked(text: str, terms: Sequence[str]) -> str:
    """Text as HTML with every occurrence of the terms in `<mark>`."""
    wanted = sorted({term for term in terms if term.strip()}, key=lambda term: -len(term))
    if not wanted:
        return html.escape(text)
    pattern = re.compile("|".join(r"\s+".join(re.escape(word) for word in term.split()) for term in wanted), re.IGNORECASE)
    pieces, start = [], 0
    for found in pattern.finditer(text):
        pieces += [html.escape(text[start : found.start()]), f"<mark>{html.escape(found.group())}</mark>"]
        start = found.end()
    return "".join([*pieces, html.escape(text[start:])])


def how_read(number: int, answer: Answer) -> str:
    """The facts that were read from the question, folded: a misreading must be easy to see."""
    facts = [fact for fact in answer.question.facts if not fact.carried]
    if answer.abstained or not facts:
        return ""
    rows = "".join(f"<tr><td><code>{html.escape(fact.name)}</code></td><td><code>{html.escape(str(fact.value))}</code></td><td>{html.escape(fact.words)}</td></tr>" for fact in facts)
    return (
        f'<details class="pw-read" id="read-{number}"><summary>How the question was read</summary><div class="pw-table" role="region" aria-label="Facts" tabindex="0"><table>'
        f'<thead><tr><th scope="col">fact</th><th scope="col">value</th><th scope="col">from the words</th></tr></thead><tbody>{rows}</tbody></table></div></details>'
    )


def actions(asked: str, answer: Answer) -> str:
    """Copy with the sources kept."""
    words = "Copy with sources" if answer.citations else "Copy"
    return f'<p class="pw-actions"><button type="button" class="pw-copy" data-copy="{html.escape(plain(asked, answer))}">{words}</button></p>'


def plain(asked: str, answer: Answer) -> str:
    """The answer as Markdown with its sources, to paste into a review or a ticket."""
    lines = [f"> {line}" for line in asked.strip().splitlines()] + ["", answer.markdown.strip()]
    if answer.citations:
        lines += ["", "Sources:"]
        lines += [f"[{cited.n}] {cited.title}{' (not in the driver documentation)' if cited.outside else ''}: {cited.url}" for cited in answer.citations]
    return "\n".join(lines) + "\n"


def announcement(answer: Answer) -> str:
    """What a screen reader says when the answer is there."""
    if answer.abstained:
        return "No verdict. " + re.sub(r"[*`_]", "", answer.markdown)[:200]
    words = [VERDICTS[answer.verdict.outcome][1]] if answer.verdict.outcome in VERDICTS else ["Answer"]
    words += [POOLS[answer.verdict.pool]] if answer.verdict.pool in POOLS else []
    words += [f"{len(answer.citations)} sources"] if answer.citations else []
    words += [re.sub(r"[*`_]", "", answer.ask_back)] if answer.ask_back else []
    return ". ".join(words) + "."
