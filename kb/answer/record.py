"""The answer as a record: what the browser shows and what the command line writes as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kb.engine import Verdict
from kb.question import Question


@dataclass(frozen=True)
class Cited:
    """One numbered citation."""

    n: int
    kind: str
    """rule, article, page, ddi or team."""
    title: str
    url: str
    section: str
    text: str
    """The page's own paragraph when it is ingested, else our summary."""
    terms: tuple[str, ...] = ()
    """Words to highlight in `text`."""
    outside: bool = False
    """Whether the source is not part of the driver documentation."""
    ours: bool = False
    """Whether `text` is our summary rather than the page's own words."""

    def to_json(self) -> dict[str, Any]:
        """The citation with the keys of contract.md."""
        return {"n": self.n, "kind": self.kind, "title": self.title, "url": self.url, "section": self.section, "text": self.text, "outside": self.outside}


@dataclass(frozen=True)
class Finding:
    """Something wrong in pasted code."""

    rule: str
    line: int
    message: str
    fix: str

    def to_json(self) -> dict[str, Any]:
        """The finding with the keys of contract.md."""
        return {"rule": self.rule, "line": self.line, "message": self.message, "fix": self.fix}


@dataclass(frozen=True)
class Answer:
    """One answer."""

    question: Question
    verdict: Verdict
    markdown: str
    citations: tuple[Cited, ...] = ()
    steps: tuple[Mapping[str, Any], ...] = ()
    """The derivation with citation numbers."""
    findings: tuple[Finding, ...] = ()
    ask_back: str | None = None
    choices: tuple[str, ...] = ()
    """What the browser offers as buttons under `ask_back`."""
    abstained: bool = False
    model: str | None = None
    notice: str = ""
    """One line for the reader about the index or the model; empty when all is well."""
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The answer with the keys of contract.md, and `choices` and `notice`."""
        verdict = self.verdict
        assumed = [
            {"name": name, "value": value, "use": None, "from": "nobody states otherwise", "assumed": True} for name, value in sorted(verdict.assumed.items())
        ]
        facts = [
            {"name": fact.name, "value": fact.value, "use": fact.use, "from": fact.words + (" (carried over)" if fact.carried else ""), "assumed": fact.assumed}
            for fact in self.question.facts
        ]
        derived = []
        for number, one in enumerate(verdict.judgements):
            for step in one.steps:
                for name in step.concludes:
                    value = one.facts.get(name)
                    entry = {"name": name, "value": value, "use": number, "from": step.rule, "assumed": False}
                    if isinstance(value, str) and entry not in derived:
                        derived.append(entry)
        return {
            "question": self.question.text,
            "kind": self.question.kind,
            "facts": facts + assumed + derived,
            "verdict": {
                "outcome": "none" if self.abstained else verdict.outcome,
                "pool": "n/a" if self.abstained else verdict.pool,
                "callable": "n/a" if self.abstained else verdict.callable,
                "max_irql": None if self.abstained else verdict.max_irql,
                "min_irql": None if self.abstained else verdict.min_irql,
                "condition": None if self.abstained else verdict.condition,
            },
            "derivation": [dict(step) for step in self.steps],
            "findings": [finding.to_json() for finding in self.findings],
            "ask_back": self.ask_back,
            "answer": self.markdown,
            "citations": [cited.to_json() for cited in self.citations],
            "abstained": self.abstained,
            "model": self.model,
            "choices": list(self.choices),
            "notice": self.notice,
        }
