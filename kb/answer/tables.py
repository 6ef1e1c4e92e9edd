"""Table rows and articles in, Markdown for a stop code, a migration, a Linux term, a reason or a how-to out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kb.answer.articles import Article, best_sections, rank_articles, renumber
from kb.answer.cites import Cites
from kb.answer.shapes import coded, sentence
from kb.engine import Knowledge, since_of
from kb.question import Question
from kb.question.codes import code_of
from kb.terms import LEVELS, Citation, Row
from kb.thresholds import ARTICLE_SCORE

IRQL_NAMES = {0: "PASSIVE_LEVEL", 1: "APC_LEVEL", 2: "DISPATCH_LEVEL"}  # the same numbers on x86, x64 and ARM64 (wdm.h)
SHORT = 260  # words up to which an article is shown whole


def bugcheck(question: Question, knowledge: Knowledge, cites: Cites) -> str:
    """
    Markdown for a stop code: what it says, the parameters decoded, what was probably done, how to confirm, what to change.

    Args:
        question: It names the code.
        knowledge: The table of bug checks and the rules.
        cites: Numbers the sources.

    Returns:
        The text; empty when no code is named.
    """
    found = question.bugcheck
    row = knowledge.terms.row("bugchecks", found.row) if found is not None else None
    if row is None or found is None:
        return ""
    more = row.more
    code = code_of(more.get("code"))
    lines = [f"**`{more.get('symbol', row.title)}` (0x{code:02X})**: {coded(row.note)}{cites.marks(row.citations, 2)}"]
    selector = int(more.get("selector", 1))
    sub = subcode(more.get("subcodes") or (), found.parameters.get(selector))
    chosen: dict[int, str] = {}
    if sub is not None:
        own = [Citation.read(entry, row.id) for entry in sub.get("citations") or ()]
        lines += ["", f"**Parameter {selector} = 0x{found.parameters[selector]:X}:** {coded(sentence(str(sub['note'])))}{cites.marks(own or row.citations, 2)}"]
        chosen = {int(place): str(words) for place, words in (sub.get("parameters") or {}).items()}
    decoded = decode(more.get("parameters") or (), chosen, found.parameters, selector if sub is not None else 0)
    if decoded:
        lines += ["", "| parameter | value | meaning |", "| --- | --- | --- |", *decoded]
    likely = str(more.get("likely") or "")
    if likely and sub is None:
        lines += ["", "**Probably**", "", coded(sentence(likely)) + cites.marks([one for one in row.citations if one.section in ("cause", "remarks", "resolution")], 2)]
    elif sub is not None and sub.get("likely"):
        lines += ["", "**Probably**", "", coded(sentence(str(sub["likely"])))]
    broken = [rule for rule in knowledge.rules if rule.id in ([sub.get("rule")] if sub is not None else more.get("rules") or ())]
    if broken:
        lines += ["", "**The rule that is probably broken**", ""]
        lines += [f"- {coded(sentence(rule.title))}{cites.marks(rule.citations, 2)}" for rule in broken[:3]]
    value = found.parameters.get(selector) if sub is not None else None
    confirm = [entry for entry in more.get("confirm") or () if concerns(str(entry["for"]), value)]
    if confirm:
        lines += ["", "**How to confirm**", ""]
        lines += [f"- `{entry['do']}`: {sentence(str(entry['for']))}" if not str(entry["do"]).startswith("`") else f"- {entry['do']}: {sentence(str(entry['for']))}" for entry in confirm]
    fix = str((sub or {}).get("fix") or more.get("fix") or "")
    if fix:
        lines += ["", "**What to change**", "", coded(sentence(fix)) + cites.marks([one for one in row.citations if one.section in ("resolution", "remarks", "cause")], 2)]
    return "\n".join(lines)


def concerns(text: str, value: int | None) -> bool:
    """Whether a way to confirm speaks of this subcode: it names none, or the codes or ranges that it names hold it."""
    named = [(int(low, 16), int(high or low, 16)) for low, high in re.findall(r"(0x[0-9A-Fa-f]+)(?: to (0x[0-9A-Fa-f]+))?", text)]
    if "above" in text and named:
        named = [(low, 0xFFFFFFFF) for low, _ in named]
    return value is None or not named or any(low <= value <= high for low, high in named)


def subcode(entries: Sequence[dict[str, Any]], value: int | None) -> dict[str, Any] | None:
    """The subcode whose value, list or range of values holds the parameter given."""
    if value is None:
        return None
    for entry in entries:
        wanted = entry.get("value")
        if isinstance(wanted, list):
            if any(code_of(one) == value for one in wanted):
                return entry
        elif isinstance(wanted, str) and ("-" in wanted or ".." in wanted):
            low, _, high = wanted.replace("..", "-").partition("-")
            if code_of(low.strip()) <= value <= code_of(high.strip()):
                return entry
        elif wanted is not None and code_of(wanted) == value:
            return entry
    return None


def decode(parameters: Sequence[dict[str, Any]], chosen: dict[int, str], given: Mapping[int, int], selector: int) -> list[str]:
    """Table rows of the parameters: number, value as given, meaning; a named value or an IRQL is put into words."""
    rows = []
    for place in range(1, 5):
        entry = parameters[place - 1] if place <= len(parameters) else {}
        meaning = chosen.get(place) or str(entry.get("meaning") or "")
        if not meaning or (place == selector and not given.get(place)):
            continue
        value = given.get(place)
        shown = "" if value is None else f"0x{value:X}"
        if value is not None:
            named = {code_of(key): str(words) for key, words in (entry.get("values") or {}).items()} if not chosen.get(place) else {}
            if value in named:
                shown += f" ({named[value]})"
            elif ("irql" in meaning.lower() or entry.get("kind") == "irql") and value in IRQL_NAMES and "address" not in meaning.lower():
                shown += f" (`{IRQL_NAMES[value]}`)"
        rows.append(f"| {place} | {shown} | {coded(meaning)} |")
    return rows


def row_markdown(row: Row, cites: Cites, limit: int = 4) -> str:
    """One table row as a paragraph with its sources."""
    title = row.title[0].upper() + row.title[1:] if not row.title.startswith("`") else row.title
    return f"**{title}.** {coded(row.note)}{cites.marks(row.citations, limit)}"


def named_rows(question: Question, knowledge: Knowledge, tables: Sequence[str], limit: int) -> list[Row]:
    """Rows of some tables that the question names, in its order."""
    found = [knowledge.terms.row(table, row_id) for table, row_id in question.rows if table in tables]
    return [row for row in found if row is not None][:limit]


def migration(question: Question, knowledge: Knowledge, cites: Cites) -> str:
    """Markdown for a move to a newer routine, flag or Windows: what replaces it, since when, what differs."""
    lines = []
    rows = named_rows(question, knowledge, ("allocators", "pool_arguments"), 4)
    for name in question.ddis:
        for row in knowledge.terms.tables.get("allocators", {}).values():
            if name in row.names and row not in rows:
                rows.append(row)
    lines += older_windows(rows, question, knowledge, cites)
    for row in rows[:4]:
        lines += [row_markdown(row, cites, 6), ""]
        facts = []
        if row.more.get("since"):
            facts.append(f"since {row.more['since']}")
        if row.more.get("deprecated"):
            facts.append(f"deprecated in {row.more['deprecated']}")
        if row.more.get("replaced_by"):
            facts.append("replaced by " + ", ".join(f"`{name}`" for name in row.more["replaced_by"]))
        if row.more.get("down_level"):
            facts.append("for older Windows " + ", ".join(f"`{name}`" for name in row.more["down_level"]))
        if row.more.get("zeroed") in (True, False):
            facts.append("zeroed" if row.more["zeroed"] else "not zeroed")
        if facts:
            lines += [f"- {row.title}: " + "; ".join(facts) + "." + cites.marks(row.citations, 6), ""]
    text = why(question, knowledge, cites, short=bool(lines))
    return "\n".join([*lines, text]).strip()


def older_windows(rows: Sequence[Row], question: Question, knowledge: Knowledge, cites: Cites) -> list[str]:
    """
    What to use where the replacement does not exist yet.

    Args:
        rows: Allocators and pool arguments that the question names.
        question: It names the Windows version.
        knowledge: The tables.
        cites: Numbers the sources.

    Returns:
        Lines; none when the question names no Windows that is too old for the replacement.
    """
    orders = [order for version in question.windows if (order := knowledge.terms.order("windows", version)) is not None]
    if not orders:
        return []
    label = knowledge.terms.facts["windows"].labels[list(knowledge.terms.facts["windows"].values)[min(orders)]]
    lines: list[str] = []
    shown: list[Row] = []
    for row in rows:
        newer = [row, *(other for table in ("allocators", "pool_arguments") for other in knowledge.terms.tables.get(table, {}).values() if set(other.names) & set(row.more.get("replaced_by") or ()))]
        for one in newer:
            since = since_of(str(one.more.get("since") or ""))
            order = knowledge.terms.order("windows", since) if since else None
            if order is None or order <= min(orders):
                continue
            down = there_on(min(orders), [str(name) for name in one.more.get("down_level") or row.more.get("down_level") or ()], knowledge)
            advice = f" Use {', '.join(f'`{name}`' for name in down)} there." if down else ""
            line = f"**{one.title} is not there on {label}:** it needs {one.more['since']}.{advice}{cites.marks(one.citations, 6)}"
            if line not in lines:
                lines.append(line)
            shown += [other for table in ("allocators", "pool_arguments") for other in knowledge.terms.tables.get(table, {}).values() if set(other.names) & set(down) and other not in shown]
    for row in shown[:3]:
        lines += ["", row_markdown(row, cites, 6)]
    return [*lines, ""] if lines else []


def there_on(order: int, names: list[str], knowledge: Knowledge) -> list[str]:
    """Those of some older forms that a Windows version has, newest first: `NonPagedPoolNx` on Windows 8.1, `NonPagedPool` before."""
    since: dict[str, int] = {}
    for table in ("allocators", "pool_arguments"):
        for row in knowledge.terms.tables.get(table, {}).values():
            first = since_of(str(row.more.get("since") or ""))
            for name in set(row.names) & set(names):
                since[name] = (knowledge.terms.order("windows", first) if first else None) or 0
    have = [name for name in names if since.get(name, 0) <= order]
    newest = max((since.get(name, 0) for name in have), default=0)
    return [name for name in have if since.get(name, 0) == newest] or names


def linux(question: Question, knowledge: Knowledge, cites: Cites) -> str:
    """Markdown for Linux terms: what maps, what does not, and the difference that bites."""
    lines = []
    for row in named_rows(question, knowledge, ("linux",), 3):
        windows = ", ".join(f"`{name}`" for name in row.more.get("windows") or ())
        verdict = {"yes": "maps to", "partly": "maps in part to", "no": "has no counterpart; nearest is"}.get(str(row.more.get("maps")), "maps to")
        lines.append(f"**{row.title[0].upper() + row.title[1:]}** {verdict} {windows or 'nothing in Windows'}. {coded(row.note)}{cites.marks(row.citations, 4)}")
        difference = " ".join(str(row.more.get("difference") or "").split())
        if difference:
            lines += ["", f"**The difference that bites:** {coded(sentence(difference))}{cites.marks(row.citations[:4], 4)}"]
        lines.append("")
    return "\n".join(lines).strip()


def choose_article(question: Question, extra: str = "") -> tuple[float, Article | None]:
    """The article that answers the question best, and its score; None when none is near."""
    ranked = rank_articles(f"{question.text} {extra}".strip())
    if not ranked or ranked[0][0] < ARTICLE_SCORE:
        return (ranked[0][0] if ranked else 0.0), None
    return ranked[0]


def why(question: Question, knowledge: Knowledge, cites: Cites, short: bool = False) -> str:
    """
    Markdown from the article that answers the question best.

    Args:
        question: A why, a how-to, or a question that needs background.
        knowledge: For the names of levels.
        cites: Numbers the article's sources.
        short: Whether only the best section is wanted.

    Returns:
        The article's opening and best sections, the rest folded; empty when no article is near.
    """
    del knowledge
    score, article = choose_article(question)
    if article is None:
        return ""
    text = article_markdown(article, question.text, cites, short)
    ranked = rank_articles(question.text)
    if not short and len(ranked) > 1 and ranked[1][0] >= max(TWIN_SHARE * score, TWIN_SCORE):
        text += "\n\n" + article_markdown(ranked[1][1], question.text, cites, short=True)  # a question between two articles gets both
    return text


TWIN_SHARE, TWIN_SCORE = 0.8, 0.35  # a second article this near the best, and this good by itself, is shown too


def background(question: Question, cites: Cites, score: float) -> str:
    """
    The article behind an answer that a rule gave, folded.

    Args:
        question: The question.
        cites: Numbers the article's sources.
        score: From which score on the article is near enough.

    Returns:
        A folded block; empty when no article is near.
    """
    found, article = choose_article(question)
    if article is None or found < score:
        return ""
    inner = article_markdown(article, question.text, cites, short=False)
    return f"<details><summary>Background: {article.title}</summary>\n\n{inner.replace('<details><summary>More on this</summary>', '').replace('</details>', '')}\n\n</details>"


def article_markdown(article: Article, text: str, cites: Cites, short: bool = False) -> str:
    """An article as Markdown with the answer's citation numbers: whole when short, else its best part open and the rest folded."""
    words = sum(len(body.split()) for _, body in article.sections)
    best = best_sections(text, article)
    whole = words <= SHORT or article_is_exact(article, text)
    chosen = list(range(len(article.sections))) if whole else sorted({0, *best})
    if short:
        chosen = best
    rest = [number for number in range(len(article.sections)) if number not in chosen]
    out = [f"**{article.title}**"] if not short else [f"**Background: {article.title}**"]

    def render(number: int) -> list[str]:
        heading, body = article.sections[number]
        used = {int(mark) for mark in re.findall(r"\[(\d+)\](?!\()", body)}
        numbers = {mark: cites.number(article.sources[mark - 1]) for mark in sorted(used)}
        text_out = renumber(body, article.sources, numbers)
        return ([f"**{heading}**", ""] if heading else []) + [text_out, ""]

    for number in chosen:
        out += ["", *render(number)]
    if rest:
        folded = []
        for number in rest:
            folded += render(number)
        out += ["<details><summary>More on this</summary>", "", *folded, "</details>"]
    return "\n".join(out).strip()


def article_is_exact(article: Article, text: str) -> bool:
    """Whether the question is almost word for word one that the article lists: then it is shown whole."""
    from rapidfuzz import fuzz

    return any(fuzz.token_set_ratio(text.lower(), question.lower()) >= 90 for question in article.questions)


__all__ = ["LEVELS", "bugcheck", "choose_article", "linux", "migration", "why"]
