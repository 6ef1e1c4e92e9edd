"""Rules and articles in, plain pages out: what the chat cites of our own can be read whole."""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence
from pathlib import Path

from kb.answer.articles import load_articles
from kb.engine import Knowledge
from kb.rulebook import Rule, Test
from kb.terms import Citation
from web.markdown import render

COMPARED = {"at_least": "at least", "at_most": "at most", "above": "above", "below": "below"}
VERDICTS = {"allowed": ("✓", "Allowed"), "forbidden": ("✕", "Not allowed")}


def rule_list(knowledge: Knowledge) -> str:
    """All rules: those that judge first, then those that conclude facts."""
    judging = [rule for rule in knowledge.rules if rule.verdict]
    concluding = [rule for rule in knowledge.rules if not rule.verdict]
    parts = ["<h1>Rules</h1>", f"<p>{len(knowledge.rules)} rules decide what the chat answers. Each names the pages it rests on.</p>"]
    for title, rules in (("Rules that judge", judging), ("Rules that conclude facts", concluding)):
        rows = "".join(f'<li><a href="/rules/{html.escape(rule.id)}">{html.escape(rule.title)}</a>{_chip(rule)}</li>' for rule in sorted(rules, key=lambda one: one.title))
        parts.append(f'<h2>{title}</h2><ul class="pw-list">{rows}</ul>')
    return page("Rules", "".join(parts))


def rule_page(knowledge: Knowledge, name: str) -> str | None:
    """One rule with its condition, reason, cure, examples and sources; None when there is none of that name."""
    rule = next((rule for rule in knowledge.rules if rule.id == name), None)
    if rule is None:
        return None
    lines = "".join(f"<tr><td><code>{html.escape(test.fact)}</code></td><td>{_tested(test)}</td></tr>" for test in rule.when)
    then = "".join(f"<tr><td><code>{html.escape(fact)}</code></td><td><code>{html.escape(str(value))}</code></td></tr>" for fact, value in rule.then.items())
    examples = "".join(f"<li>{html.escape(example.ask)} <strong>{html.escape(example.verdict)}</strong></li>" for example in rule.examples)
    parts = [
        f"<h1>{html.escape(rule.title)}</h1><p>{_chip(rule)}<code>{html.escape(rule.id)}</code></p>",
        f'<h2>What it says</h2><table><thead><tr><th scope="col">when</th><th scope="col">is</th></tr></thead><tbody>{lines}</tbody>'
        f'<thead><tr><th scope="col">then</th><th scope="col">is</th></tr></thead><tbody>{then}</tbody></table>',
        f"<h2>Why</h2>{render(rule.rationale)}",
        f"<h2>What to do instead</h2>{render(rule.remedy)}" if rule.remedy else "",
        f"<h2>Bug checks</h2><p>{', '.join(f'<code>{html.escape(code)}</code>' for code in rule.bug_checks)}</p>" if rule.bug_checks else "",
        f"<h2>Examples</h2><ul>{examples}</ul>" if examples else "",
        _sources(rule.citations),
    ]
    return page(rule.title, "".join(parts), back=True)


def article_page(name: str) -> str | None:
    """One article with its sources; None when there is none of that name."""
    article = next((one for one in load_articles() if one.slug == name), None)
    if article is None:
        return None
    linked = {number: (f"source-{number}", source.says or source.page or source.url) for number, source in enumerate(article.sources, start=1)}
    body = "".join((f"<h2>{html.escape(heading)}</h2>" if heading else "") + render(text, linked) for heading, text in article.sections)
    return page(article.title, f"<h1>{html.escape(article.title)}</h1>{body}{_sources(article.sources)}", back=True)


def missing_page() -> str:
    """What is shown for a name that does not exist."""
    return page("Not found", '<h1>There is no such page</h1><p>Look in the <a href="/rules">list of rules</a>.</p>')


def page(title: str, body: str, back: bool = False) -> str:
    """A whole HTML document in the style of the chat."""
    links = '<a href="/">Ask</a>' + (' <a href="/rules">Rules</a>' if back else "")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<title>{html.escape(title)} · Poolwise</title><style>{style()}</style></head><body class="pw-plain"><header class="pw-header"><div class="pw-brand"><p class="pw-name">Poolwise</p></div>'
        f'<nav aria-label="Site">{links}</nav></header><main class="pw-main pw-text">{body}</main>'
        '<script>let t=null;try{t=localStorage.getItem("poolwise-theme")}catch{}if(t?t==="dark":matchMedia("(prefers-color-scheme: dark)").matches)document.body.classList.add("dark")</script></body></html>'
    )


@functools.cache
def style() -> str:
    """The style sheet that the chat has too."""
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


def _chip(rule: Rule) -> str:
    if rule.verdict not in VERDICTS:
        return ""
    sign, words = VERDICTS[rule.verdict]
    return f' <span class="pw-verdict pw-{rule.verdict}"><strong class="pw-chip"><span class="pw-sign" aria-hidden="true">{sign}</span>{words}</strong></span>'


def _tested(test: Test) -> str:
    if test.values:
        return " or ".join(f"<code>{html.escape(value)}</code>" for value in test.values)
    return f"{COMPARED.get(test.comparison, test.comparison)} <code>{html.escape(test.against)}</code>"


def _sources(citations: Sequence[Citation]) -> str:
    items = []
    for number, citation in enumerate(citations, start=1):
        outside = ' <span class="pw-label pw-outside">not in the driver documentation</span>' if citation.outside else ""
        link = f'<a href="{html.escape(citation.url)}" target="_blank" rel="noopener noreferrer">{html.escape(citation.page or citation.url)}</a>' if citation.url.startswith("https://") else ""
        items.append(f'<li id="source-{number}">{link}{outside}<br>{html.escape(citation.says)}</li>')
    return f"<h2>Sources</h2><ol>{''.join(items)}</ol>" if items else ""
