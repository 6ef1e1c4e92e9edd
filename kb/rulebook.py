"""`rules/*.yaml` in, checked Rules out: a malformed file is refused with file, field, reason and cure."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from kb.terms import KNOWLEDGE, Citation, KnowledgeError, Terms, load_terms, read_yaml, text_of

COMPARISONS = ("at_least", "at_most", "above", "below")


@dataclass(frozen=True)
class Test:
    """One line of a rule's `when`: a fact equals one of some values, or compares with a value or with another fact."""

    fact: str
    values: tuple[str, ...] = ()
    comparison: str = ""
    against: str = ""
    """What `comparison` compares with: a value, or another fact's name."""


@dataclass(frozen=True)
class Example:
    """A question, the facts it states, and what the engine must say."""

    ask: str
    facts: Mapping[str, str | tuple[str, ...]]
    verdict: str
    because: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remedy:
    """What to do in one case."""

    when: tuple[Test, ...]
    do: str


@dataclass(frozen=True)
class Rule:
    """One rule of the rule book."""

    id: str
    title: str
    when: tuple[Test, ...]
    then: Mapping[str, str]
    """Either `{"verdict": "forbidden" | "allowed"}` or facts that follow."""
    assume: Mapping[str, str]
    rationale: str
    remedy: str
    remedies: tuple[Remedy, ...]
    """Remedies for cases, the first that holds before `remedy`."""
    bug_checks: tuple[str, ...]
    citations: tuple[Citation, ...]
    examples: tuple[Example, ...] = field(default=(), repr=False)

    @property
    def verdict(self) -> str:
        """`allowed`, `forbidden`, or empty for a rule that concludes facts."""
        return self.then.get("verdict", "")


class ExampleFile(BaseModel):
    """An example as written in YAML."""

    model_config = ConfigDict(extra="forbid")
    ask: str
    facts: dict[str, Any]
    verdict: Literal["allowed", "forbidden", "undetermined"]
    because: list[str] = []
    unknown: list[str] = []


class RemedyFile(BaseModel):
    """A remedy for a case as written in YAML."""

    model_config = ConfigDict(extra="forbid")
    when: dict[str, Any]
    do: str


class RuleFile(BaseModel):
    """A rule as written in YAML; keys in this order."""

    model_config = ConfigDict(extra="forbid")
    id: str
    title: str
    when: dict[str, Any]
    then: dict[str, Any]
    assume: dict[str, Any] = {}
    rationale: str
    remedy: str = ""
    remedies: list[RemedyFile] = []
    bug_checks: list[Any] = []
    citations: list[dict[str, Any]]
    examples: list[ExampleFile]


def near(name: str, known: list[str]) -> str:
    """A hint naming the known word nearest to *name*; empty when none is near."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(known[:12])} ..."


def read_tests(when: Mapping[str, Any], terms: Terms, where: str, faults: list[str]) -> tuple[Test, ...]:
    """
    Check the `when` mapping of a rule.

    Args:
        when: Fact name to value, list of values, or one comparison.
        terms: The facts that may be tested.
        where: File name, for messages.
        faults: Messages are appended here.

    Returns:
        The tests that are well formed.
    """
    tests = []
    for name, wanted in when.items():
        fact = terms.facts.get(name)
        if fact is None:
            faults.append(f"{where}: unknown fact '{name}'{near(name, list(terms.facts))}")
            continue
        if isinstance(wanted, dict):
            if len(wanted) != 1 or next(iter(wanted)) not in COMPARISONS:
                faults.append(f"{where}: {name}: compare with one of {', '.join(COMPARISONS)}; nothing else is understood")
                continue
            comparison, against = next(iter(wanted.items()))
            if terms.order(name, text_of(against)) is None and text_of(against) not in terms.facts:
                faults.append(f"{where}: {name}: '{against}' is neither an ordered value nor a fact{near(text_of(against), [*fact.values, *terms.facts])}")
                continue
            tests.append(Test(name, comparison=comparison, against=text_of(against)))
            continue
        values = tuple(text_of(value) for value in (wanted if isinstance(wanted, list) else [wanted]))
        for value in values:
            if fact.values and value not in fact.values:
                faults.append(f"{where}: {name}: '{value}' is not one of its values{near(value, list(fact.values))}")
        tests.append(Test(name, values=values))
    return tuple(tests)


def read_rule(path: Path, terms: Terms) -> Rule:
    """
    Load and check one rule file.

    Args:
        path: `kb/knowledge/rules/<id>.yaml`.
        terms: Facts and tables the rule may use.

    Returns:
        The rule.

    Raises:
        KnowledgeError: With every fault of the file, one a line.
    """
    where = path.name
    raw = read_yaml(path)
    try:
        written = RuleFile.model_validate(raw)
    except ValidationError as error:
        raise KnowledgeError(
            "\n".join(f"{where}: {'.'.join(str(part) for part in fault['loc'])}: {fault['msg'].lower()}; see CONTRIBUTING.md, Add a rule" for fault in error.errors())
        ) from error
    faults: list[str] = []
    if written.id != path.stem:
        faults.append(f"{where}: id: is '{written.id}', must be the file's name, '{path.stem}'")
    tests = read_tests(written.when, terms, where, faults)
    then = {name: text_of(value) for name, value in written.then.items()}
    for name, value in then.items():
        if name == "verdict":
            if value not in ("allowed", "forbidden"):
                faults.append(f"{where}: then.verdict: is '{value}', must be allowed or forbidden; undetermined is what no rule decides")
            elif "act" not in written.when:
                faults.append(f"{where}: when: a verdict rule starts with `act`, so that rules about other acts ask nothing")
        elif name not in terms.facts:
            faults.append(f"{where}: then: unknown fact '{name}'{near(name, list(terms.facts))}")
    for name in written.assume:
        if name not in terms.facts:
            faults.append(f"{where}: assume: unknown fact '{name}'{near(name, list(terms.facts))}")
    citations = []
    for entry in written.citations:
        try:
            citations.append(Citation.read(entry, where))
        except KnowledgeError as error:
            faults.append(str(error))
    if not citations:
        faults.append(f"{where}: citations: none; name the page and section that document the rule")
    remedies = tuple(Remedy(read_tests(one.when, terms, f"{where}: remedies", faults), one.do.strip()) for one in written.remedies)
    examples = []
    for example in written.examples:
        facts: dict[str, str | tuple[str, ...]] = {}
        for name, value in example.facts.items():
            if name not in terms.facts:
                faults.append(f"{where}: examples: unknown fact '{name}'{near(name, list(terms.facts))}")
            facts[name] = tuple(text_of(one) for one in value) if isinstance(value, list) else text_of(value)
        examples.append(Example(example.ask, facts, example.verdict, tuple(example.because), tuple(example.unknown)))
    if faults:
        raise KnowledgeError("\n".join(faults))
    return Rule(
        id=written.id,
        title=written.title,
        when=tests,
        then=then,
        assume={name: text_of(value) for name, value in written.assume.items()},
        rationale=written.rationale.strip(),
        remedy=written.remedy.strip(),
        remedies=remedies,
        bug_checks=tuple(f"0x{code:02X}" if isinstance(code, int) else str(code) for code in written.bug_checks),
        citations=tuple(citations),
        examples=tuple(examples),
    )


def load_rules(folder: Path = KNOWLEDGE) -> tuple[Rule, ...]:
    """
    Load every rule.

    Args:
        folder: The knowledge folder; rules are in its `rules/`.

    Returns:
        Rules in order of their ids.

    Raises:
        KnowledgeError: With the faults of all files, one a line.
    """
    return _load_rules(folder)


@functools.lru_cache(maxsize=4)
def _load_rules(folder: Path) -> tuple[Rule, ...]:
    terms = load_terms(folder)
    rules, faults = [], []
    for path in sorted((folder / "rules").glob("*.yaml")):
        try:
            rules.append(read_rule(path, terms))
        except KnowledgeError as error:
            faults.append(str(error))
    if faults:
        raise KnowledgeError("\n".join(faults))
    return tuple(rules)
