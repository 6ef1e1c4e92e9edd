"""A condition and facts in, true, false or unknown out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from kb.engine.records import Facts
from kb.rulebook import Test
from kb.terms import Terms, text_of

Truth = Literal["true", "false", "unknown"]


def compare(test: Test, facts: Facts, terms: Terms) -> Truth:
    """
    Evaluate one line of a `when` with three values.

    Args:
        test: The line.
        facts: What is known.
        terms: For the order of values.

    Returns:
        `unknown` when the fact, or the one it is compared with, is missing.
    """
    value = facts.get(test.fact)
    if value is None:
        return "unknown"
    if test.values:
        held = value if isinstance(value, tuple) else (value,)
        return "true" if any(one in test.values for one in held) else "false"
    against = facts.get(test.against) if test.against in terms.facts else test.against
    if against is None:
        return "unknown"
    left, right = terms.order(test.fact, str(value)), terms.order(test.fact, str(against))
    if left is None or right is None:
        return "unknown"
    holds = {"at_least": left >= right, "at_most": left <= right, "above": left > right, "below": left < right}[test.comparison]
    return "true" if holds else "false"


def holds(when: Mapping[str, object], facts: Facts) -> tuple[Truth, tuple[str, ...]]:
    """
    Evaluate a table row's or DDI row's condition: all facts must have these values.

    Args:
        when: Fact name to value, or to a list of values of which one must hold.
        facts: What is known.

    Returns:
        The truth, and the facts that are missing when it is `unknown`.
    """
    missing = []
    for name, wanted in when.items():
        value = facts.get(name)
        values = [text_of(one) for one in wanted] if isinstance(wanted, (list, tuple)) else [text_of(wanted)]
        if value is None:
            missing.append(name)
            continue
        held = value if isinstance(value, tuple) else (value,)
        if not any(one in values for one in held):
            return "false", ()
    return ("unknown", tuple(missing)) if missing else ("true", ())
