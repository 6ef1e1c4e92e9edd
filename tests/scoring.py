"""
Points for answers to the question files: verdicts as they are recorded in, points and a summary out.

An aspect gets 1 when it is right, 0.5 for a fitting question or condition in place of a verdict, 0 when it says nothing, and -1
when it is firm and wrong. Aspects that a question does not determine are left out. Citations are counted apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LEVELS = ("PASSIVE_LEVEL", "APC_LEVEL", "DISPATCH_LEVEL", "DIRQL", "HIGH_LEVEL")
FIRM_POOLS = ("nonpaged_required", "paged_ok", "either", "not_allowed")
SAME_POOL = {"paged_required_or_preferred": "paged_ok"}
CITED = ("cites_gold", "gold_share")

Expectation = Mapping[str, Any]
Points = dict[str, float]


@dataclass(frozen=True)
class Summary:
    """What the answers to one file are worth."""

    judged: int
    """Aspects of verdicts judged."""
    score: float
    """Mean of their points."""
    full: float
    """Share of them with full points."""
    wrong: int
    """How many are firm and wrong."""
    cited: float
    """Share of the questions whose answer cites one of the pages it rests on."""

    def row(self, name: str) -> str:
        """A line of the table."""
        return f"{name:34} {self.judged:5} {self.score:7.3f} {self.full:7.3f} {self.wrong:5} {self.cited:7.3f}"


HEAD = f"{'file':34} {'aspects':>5} {'score':>5} {'full':>7} {'wrong':>5} {'cited':>7}"


def page_id(url: str) -> str:
    """The page id in an address of the driver documentation; empty for any other address."""
    found = re.search(r"windows-hardware/drivers/([^?#]+)", url or "")
    return found.group(1).rstrip("/").lower() if found else ""


def level(text: str | None) -> str:
    """The highest IRQL in a phrase such as `<= APC_LEVEL`, `< DISPATCH_LEVEL` or `any`; empty when it names none."""
    upper = (text or "").upper()
    if re.search(r"<\s*DISPATCH_LEVEL", upper):
        return "APC_LEVEL"
    found = [name for name in LEVELS if name in upper or name.split("_")[0] in upper.split()]
    if found:
        return max(found, key=LEVELS.index)
    return "HIGH_LEVEL" if "ANY" in upper else upper.strip()


def accepted(expected: Expectation, aspect: str) -> list[Any]:
    """The accepted values of an aspect: the recorded one and its fair alternatives."""
    recorded = [expected.get("verdict", {}).get(aspect), *expected.get("accept", {}).get(aspect, ())]
    return [SAME_POOL.get(value, value) for value in recorded if value is not None]


def refusal_point(answer: Expectation, wanted: list[Any]) -> float:
    """Points for declining, for knowing no such name, or for correcting a premise."""
    verdict, abstained, told = answer.get("verdict") or {}, bool(answer.get("abstained")), bool(answer.get("answer"))
    firm = verdict.get("pool") in FIRM_POOLS or verdict.get("callable") in ("yes", "no")
    corrects = "refuse_premise" in wanted
    if wanted == ["refuse_premise"]:
        return float(told and not abstained)
    if not abstained and firm and not corrects:
        return -1.0
    if corrects or "no_evidence" in wanted:
        return float(abstained or corrects and told)
    return float(abstained and not answer.get("citations"))


def pool_point(answer: Expectation, wanted: list[Any]) -> float:
    """Points for the pool."""
    pool = (answer.get("verdict") or {}).get("pool") or "n/a"
    pool = SAME_POOL.get(pool, pool)
    if pool in wanted and answer:
        return 1.0
    if pool == "n/a":
        return 0.0
    if pool == "depends":
        return 0.5 if answer.get("ask_back") else 0.0
    return 0.0 if {pool, *wanted} <= {"either", "paged_ok"} else -1.0


def callable_point(answer: Expectation, wanted: list[Any]) -> float:
    """Points for whether the call may be made: a firm no for a conditional is only unhelpful, a firm yes is wrong."""
    verdict = answer.get("verdict") or {}
    told = verdict.get("callable") or "n/a"
    if told in wanted:
        return 1.0
    if told == "n/a":
        return 0.0
    if told == "conditional":
        return 0.5 if verdict.get("condition") else 0.0
    return 0.0 if told == "no" and "conditional" in wanted else -1.0


def grade(expected: Expectation, answer: Expectation) -> Points:
    """
    Grade one answer.

    Args:
        expected: A line of a question file, or the `expect` of a turn.
        answer: The answer as JSON; empty when there is none.

    Returns:
        Points by aspect, -1 to 1; an aspect that is not determined is left out.
    """
    verdict, told, points = expected.get("verdict", {}), answer.get("verdict") or {}, Points()
    refusals = accepted(expected, "expected")
    if refusals:
        points["refusal"] = refusal_point(answer, refusals)
    for aspect, judge in (("pool", pool_point), ("callable", callable_point)):
        wanted = accepted(expected, aspect)
        if wanted and wanted != ["n/a"]:
            points[aspect] = judge(answer, wanted)
    wanted_level = level(verdict.get("max_irql") or verdict.get("irql"))
    if wanted_level in LEVELS:
        named = level(told.get("max_irql"))
        points["max_irql"] = 1.0 if named == wanted_level else -1.0 if named else 0.0
    if verdict.get("bug") is not None:
        found = bool(answer.get("findings"))
        points["bug"] = float(found) if verdict["bug"] else -1.0 if found else float(bool(answer.get("answer")))
    gold = {page.lower() for page in expected.get("gold_pages", ())}
    if gold and "decline" not in refusals:
        cited = {page_id(citation.get("url")) for citation in answer.get("citations") or ()}
        points["cites_gold"], points["gold_share"] = float(bool(gold & cited)), len(gold & cited) / len(gold)
    return points


def summary(graded: Iterable[Points]) -> Summary:
    """
    Sum up the points of a file.

    Args:
        graded: Points of each answer, from `grade`.

    Returns:
        The figures of the table.
    """
    counts: Counter[str] = Counter()
    total = full = cited = 0.0
    for points in graded:
        for aspect, point in points.items():
            counts["cited" if aspect in CITED else "judged"] += aspect != "gold_share"
            cited += point if aspect == "cites_gold" else 0
            if aspect not in CITED:
                total += point
                full += point == 1
                counts["wrong"] += point < 0
    judged = counts["judged"]
    return Summary(judged, total / max(1, judged), full / max(1, judged), counts["wrong"], cited / max(1, counts["cited"]))
