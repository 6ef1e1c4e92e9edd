"""Rules in, a page for each and their index by topic out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kb.reference.markdown import page, sources, table
from kb.rulebook import Rule, Test

COMPARED = {"at_least": "at least", "at_most": "at most", "above": "above", "below": "below"}


def acts(rule: Rule) -> set[str]:
    """The acts that a rule is about."""
    return {value for test in rule.when if test.fact == "act" for value in test.values}


# Topics of the index, in the order in which a reader meets them; a rule belongs to the first whose test it passes.
TOPICS: tuple[tuple[str, Callable[[Rule], bool]], ...] = (
    ("Which memory is resident", lambda rule: not rule.verdict and "memory.resident" in rule.then),
    ("Which facts follow from others", lambda rule: not rule.verdict),
    ("Allocating pool", lambda rule: "allocate" in acts(rule)),
    ("Freeing pool", lambda rule: "free" in acts(rule)),
    ("Touching memory", lambda rule: "touch" in acts(rule)),
    ("Calling routines and acquiring locks", lambda rule: bool({"call", "acquire"} & acts(rule))),
    ("Waiting", lambda rule: "wait" in acts(rule)),
    ("Where an object may live", lambda rule: "store" in acts(rule)),
    ("Pageable and executable code", lambda rule: "run" in acts(rule)),
    ("Other", lambda rule: True),
)


def condition(test: Test) -> str:
    """What one line of a `when` demands of its fact."""
    if test.comparison:
        return f"{COMPARED[test.comparison]} `{test.against}`"
    return " or ".join(f"`{value}`" for value in test.values)


def rule_page(rule: Rule) -> str:
    """
    One rule as a page.

    Args:
        rule: From the rule book.

    Returns:
        Title, what it says, why, what to do instead, bug checks, examples, sources.
    """
    lines = [f"Rule `{rule.id}`.", "", "## What it says", "", "When", ""]
    lines += table(("fact", "is"), [(f"`{test.fact}`", condition(test)) for test in rule.when])
    then = f"then it is **{rule.verdict}**." if rule.verdict else "then " + ", ".join(f"`{name}` is `{value}`" for name, value in rule.then.items()) + "."
    lines += ["", then]
    if rule.assume:
        lines += ["", "Where nobody states it, " + ", ".join(f"`{name}` is taken to be `{value}`" for name, value in rule.assume.items()) + "."]
    lines += ["", "## Why", "", rule.rationale]
    if rule.remedy:
        lines += ["", "## What to do instead", "", rule.remedy]
        for one in rule.remedies:
            lines += ["", f"Where {' and '.join(f'`{test.fact}` is {condition(test)}' for test in one.when)}: {' '.join(one.do.split())}"]
    if rule.bug_checks:
        lines += ["", "## Bug checks", "", ", ".join(f"`{code}`" for code in rule.bug_checks)]
    lines += ["", "## Examples", ""]
    for example in rule.examples:
        waits = f" (waits for {', '.join(f'`{name}`' for name in example.unknown)})" if example.unknown else ""
        lines += [f"- {example.ask} **{example.verdict}**{waits}"]
    return page(f"kb/knowledge/rules/{rule.id}.yaml", rule.title, [*lines, "", "## Sources", "", *sources(rule.citations)])


def rule_index(rules: Sequence[Rule]) -> str:
    """The rules by topic."""
    lines = [f"{len(rules)} rules. What they come to, level by level, is in the [decision table](decision-table.md)."]
    left = list(rules)
    for topic, belongs in TOPICS:
        mine = [rule for rule in left if belongs(rule)]
        left = [rule for rule in left if rule not in mine]
        if mine:
            lines += ["", f"## {topic}", "", *(f"- [{rule.title}]({rule.id}.md)" + (f": {rule.verdict}" if rule.verdict else "") for rule in mine)]
    return page("kb/knowledge/rules/", "The rules by topic", lines)
