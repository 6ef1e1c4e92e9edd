"""
Every question file through the whole pipeline, without an index: no file may score below what it scored before.

Run the module to see the figures of today: `python -m tests.test_questions`. Raise a floor when an answer got better; lower one
only when the question was wrong, and say so in CHANGELOG.md.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kb.chain import Assistant
from kb.engine import load_knowledge
from tests.scoring import HEAD, Points, Summary, grade, summary

ROOT = Path(__file__).resolve().parent
FOLDERS = {
    "questions": ROOT / "questions",
    **{f"holdout{number}": ROOT / "questions" / f"holdout{number}" for number in ("", 2, 3, 4, 5, 6, 7, 8, 9)},
    "eval": ROOT.parent.parent / "shared" / "eval",
}


class Floor(NamedTuple):
    """Just below the figures that a file had: mean of the points, share of full points, most that may be wrong, share that cites a right page."""

    score: float
    full: float
    wrong: int
    cited: float


FLOORS = {
    "questions/api_irql": Floor(0.97, 0.98, 1, 0.95),
    "questions/bugcheck": Floor(0.99, 0.99, 0, 0.99),
    "questions/code": Floor(0.99, 0.99, 0, 0.91),
    "questions/context": Floor(0.94, 0.96, 1, 0.99),
    "questions/decision": Floor(0.98, 0.98, 0, 0.85),
    "questions/dialogues": Floor(0.94, 0.96, 2, 0.92),
    "questions/howto": Floor(0.0, 0.0, 0, 0.66),
    "questions/linux": Floor(0.85, 0.88, 1, 0.94),
    "questions/migration": Floor(0.99, 0.99, 0, 0.94),
    "questions/object_storage": Floor(0.99, 0.99, 0, 0.89),
    "questions/out_of_scope": Floor(0.99, 0.99, 0, 0.85),
    "questions/why": Floor(0.0, 0.0, 0, 0.69),
    "holdout/api_irql": Floor(0.95, 0.95, 0, 0.91),
    "holdout/bugcheck": Floor(0.99, 0.99, 0, 0.99),
    "holdout/code": Floor(0.99, 0.99, 0, 0.99),
    "holdout/context": Floor(0.78, 0.89, 3, 0.99),
    "holdout/decision": Floor(0.95, 0.93, 0, 0.97),
    "holdout/dialogues": Floor(0.99, 0.99, 0, 0.86),
    "holdout/howto": Floor(0, 0, 0, 0.85),
    "holdout/linux": Floor(0.96, 0.93, 0, 0.99),
    "holdout/migration": Floor(0.99, 0.99, 0, 0.85),
    "holdout/object_storage": Floor(0.99, 0.99, 0, 0.99),
    "holdout/out_of_scope": Floor(0.99, 0.99, 0, 0.77),
    "holdout/why": Floor(0.0, 0.0, 0, 0.94),
    "holdout2/api_irql": Floor(0.95, 0.96, 1, 0.99),
    "holdout2/bugcheck": Floor(0.99, 0.99, 0, 0.81),
    "holdout2/code": Floor(0.99, 0.99, 0, 0.74),
    "holdout2/context": Floor(0.86, 0.92, 2, 0.92),
    "holdout2/decision": Floor(0.99, 0.99, 0, 0.94),
    "holdout2/dialogues": Floor(0.93, 0.95, 1, 0.92),
    "holdout2/howto": Floor(0.0, 0.0, 0, 0.49),
    "holdout2/linux": Floor(0.99, 0.99, 0, 0.99),
    "holdout2/migration": Floor(0.99, 0.99, 0, 0.9),
    "holdout2/object_storage": Floor(0.99, 0.99, 0, 0.76),
    "holdout2/out_of_scope": Floor(0.99, 0.99, 0, 0.7),
    "holdout2/why": Floor(0.0, 0.0, 0, 0.61),
    "holdout3/api_irql": Floor(0.94, 0.94, 0, 0.94),
    "holdout3/bugcheck": Floor(0.87, 0.87, 0, 0.99),
    "holdout3/code": Floor(0.99, 0.99, 0, 0.99),
    "holdout3/context": Floor(0.71, 0.82, 2, 0.89),
    "holdout3/decision": Floor(0.82, 0.89, 2, 0.93),
    "holdout3/dialogues": Floor(0.98, 0.98, 0, 0.87),
    "holdout3/howto": Floor(0.0, 0.0, 0, 0.49),
    "holdout3/linux": Floor(0.99, 0.99, 0, 0.89),
    "holdout3/migration": Floor(0.77, 0.88, 1, 0.79),
    "holdout3/object_storage": Floor(0.99, 0.99, 0, 0.99),
    "holdout3/out_of_scope": Floor(0.99, 0.99, 0, 0.99),
    "holdout3/why": Floor(0.99, 0.99, 0, 0.7),
    "holdout4/api_irql": Floor(0.99, 0.99, 0, 0.99),
    "holdout4/bugcheck": Floor(0.99, 0.99, 0, 0.82),
    "holdout4/code": Floor(0.99, 0.99, 0, 0.82),
    "holdout4/context": Floor(0.99, 0.99, 0, 0.99),
    "holdout4/decision": Floor(0.99, 0.99, 0, 0.99),
    "holdout4/dialogues": Floor(0.99, 0.99, 0, 0.95),
    "holdout4/howto": Floor(0.0, 0.0, 0, 0),
    "holdout4/linux": Floor(0.99, 0.99, 0, 0.99),
    "holdout4/migration": Floor(0.99, 0.99, 0, 0.99),
    "holdout4/object_storage": Floor(0.7, 0.85, 1, 0.99),
    "holdout4/out_of_scope": Floor(0.99, 0.99, 0, 0.99),
    "holdout4/why": Floor(0.99, 0.99, 0, 0.87),
    "holdout5/api_irql": Floor(0.98, 0.97, 0, 0.99),
    "holdout5/code": Floor(0.99, 0.99, 0, 0.99),
    "holdout5/context": Floor(0.99, 0.99, 0, 0.99),
    "holdout5/decision": Floor(0.85, 0.88, 2, 0.9),
    "holdout5/dialogues": Floor(0.98, 0.97, 0, 0.86),
    "holdout5/linux": Floor(0.99, 0.99, 0, 0.99),
    "holdout5/migration": Floor(0.99, 0.99, 0, 0.59),
    "holdout5/object_storage": Floor(0.8, 0.74, 0, 0.74),
    "holdout5/out_of_scope": Floor(0.99, 0.99, 0, 0.99),
    "holdout6/api_irql": Floor(0.99, 0.99, 0, 0.99),
    "holdout6/bugcheck": Floor(0.99, 0.99, 0, 0.82),
    "holdout6/code": Floor(0.88, 0.88, 0, 0.82),
    "holdout6/context": Floor(0.74, 0.82, 1, 0.82),
    "holdout6/decision": Floor(0.99, 0.99, 0, 0.99),
    "holdout6/dialogues": Floor(0.95, 0.93, 0, 0.79),
    "holdout6/howto": Floor(0.0, 0.0, 0, 0),
    "holdout6/linux": Floor(0.99, 0.99, 0, 0.99),
    "holdout6/migration": Floor(0.0, 0.0, 0, 0.82),
    "holdout6/object_storage": Floor(0.99, 0.99, 0, 0.66),
    "holdout6/out_of_scope": Floor(0.99, 0.99, 0, 0.99),
    "holdout6/why": Floor(0.0, 0.0, 0, 0.99),
    "holdout7/api_irql": Floor(0.99, 0.99, 0, 0.99),
    "holdout7/bugcheck": Floor(0.99, 0.99, 0, 0.99),
    "holdout7/code": Floor(0.99, 0.99, 0, 0.87),
    "holdout7/context": Floor(0.99, 0.99, 0, 0.99),
    "holdout7/decision": Floor(0.99, 0.99, 0, 0.99),
    "holdout7/dialogues": Floor(0.96, 0.97, 1, 0.88),
    "holdout7/howto": Floor(0.0, 0.0, 0, 0.32),
    "holdout7/linux": Floor(0.99, 0.99, 0, 0.99),
    "holdout7/migration": Floor(0.99, 0.99, 0, 0.99),
    "holdout7/object_storage": Floor(0.99, 0.99, 0, 0.82),
    "holdout7/out_of_scope": Floor(0.99, 0.99, 0, 0.99),
    "holdout7/why": Floor(0.0, 0.0, 0, 0.49),
    "holdout8/api_irql": Floor(0.99, 0.99, 0, 0.99),
    "holdout8/bugcheck": Floor(0.99, 0.99, 0, 0.99),
    "holdout8/code": Floor(0.99, 0.99, 0, 0.88),
    "holdout8/context": Floor(0.99, 0.99, 0, 0.99),
    "holdout8/decision": Floor(0.99, 0.99, 0, 0.82),
    "holdout8/dialogues": Floor(0.95, 0.96, 3, 0.97),
    "holdout8/howto": Floor(0.0, 0.0, 0, 0.66),
    "holdout8/linux": Floor(0.99, 0.99, 0, 0.66),
    "holdout8/migration": Floor(0.99, 0.99, 0, 0.99),
    "holdout8/object_storage": Floor(0.99, 0.99, 0, 0.99),
    "holdout8/out_of_scope": Floor(0.99, 0.99, 0, 0.66),
    "holdout8/why": Floor(0.0, 0.0, 0, 0.99),
    "holdout9/api_irql": Floor(0.79, 0.79, 1, 0.99),
    "holdout9/code": Floor(0.99, 0.99, 0, 0.99),
    "holdout9/context": Floor(0.81, 0.9, 1, 0.99),
    "holdout9/decision": Floor(0.93, 0.87, 0, 0.87),
    "holdout9/dialogues": Floor(0.89, 0.9, 3, 0.91),
    "holdout9/linux": Floor(0.99, 0.99, 0, 0.99),
    "holdout9/migration": Floor(0.91, 0.82, 0, 0.66),
    "holdout9/object_storage": Floor(0.79, 0.79, 0, 0.99),
    "eval/dialogues": Floor(0.99, 0.99, 0, 0.82),
    "eval/questions": Floor(0.99, 0.99, 0, 0.99),
}


@functools.cache
def assistant() -> Assistant:
    """The assistant on the built-in knowledge, without an index."""
    return Assistant(load_knowledge(), Path("no-index"))


def lines(path: Path) -> list[dict[str, Any]]:
    """The questions of a file that have an expectation of the answer."""
    entries = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [entry for entry in entries if ("question" in entry and "verdict" in entry) or all("expect" in turn for turn in entry.get("turns") or ({},))]


def points_of(entry: dict[str, Any]) -> list[Points]:
    """Points of each turn of a line, asked as one conversation."""
    turns = [(turn["user"], turn["expect"]) for turn in entry["turns"]] if "turns" in entry else [(entry["question"], entry)]
    earlier, points = None, []
    for text, expected in turns:
        earlier = assistant().ask(text, earlier)
        points.append(grade(expected, earlier.to_json()))
    return points


@functools.cache
def measured(name: str) -> Summary:
    """The figures of one file, `folder/stem`."""
    folder, stem = name.split("/")
    return summary(points for entry in lines(FOLDERS[folder] / f"{stem}.jsonl") for points in points_of(entry))


def present() -> list[str]:
    """Every question file there is, as `folder/stem`."""
    return [f"{name}/{path.stem}" for name, folder in FOLDERS.items() for path in sorted(folder.glob("*.jsonl")) if lines(path)]


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOORS)
def test_no_file_scores_below_its_floor(name: str) -> None:
    folder, stem = name.split("/")
    if folder == "eval" and not FOLDERS[folder].is_dir():
        pytest.skip(f"{FOLDERS[folder]} is absent: the evaluation questions were not asked")
    found, floor = measured(name), FLOORS[name]
    assert (FOLDERS[folder] / f"{stem}.jsonl").is_file()
    assert found.score >= floor.score, found
    assert found.full >= floor.full, found
    assert found.wrong <= floor.wrong, found
    assert found.cited >= floor.cited, found


@pytest.mark.slow
def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{table()}")
    assert set(present()) == {name for name in FLOORS if name.split("/")[0] != "eval" or FOLDERS["eval"].is_dir()}, "give every question file a floor"


def table() -> str:
    """The figures of every file, one a line."""
    return "\n".join([HEAD, *(measured(name).row(name) for name in present())])


ANSWER = {
    "answer": "Yes [1].",
    "verdict": {"pool": "paged_ok", "callable": "yes", "max_irql": "APC_LEVEL"},
    "citations": [{"url": "https://learn.microsoft.com/en-us/windows-hardware/drivers/kernel/x#y"}],
}
GRADES = [
    ({"verdict": {"pool": "paged_ok"}}, {"pool": 1}),
    ({"verdict": {"pool": "paged_required_or_preferred"}}, {"pool": 1}),
    ({"verdict": {"pool": "nonpaged_required"}}, {"pool": -1}),
    ({"verdict": {"pool": "nonpaged_required"}, "accept": {"pool": ["paged_ok"]}}, {"pool": 1}),
    ({"verdict": {"pool": "either"}}, {"pool": 0}),
    ({"verdict": {"pool": "n/a"}}, {}),
    ({"verdict": {"callable": "no"}}, {"callable": -1}),
    ({"verdict": {"callable": "conditional"}}, {"callable": -1}),
    ({"verdict": {"max_irql": "< DISPATCH_LEVEL"}}, {"max_irql": 1}),
    ({"verdict": {"max_irql": "any"}}, {"max_irql": -1}),
    ({"verdict": {"bug": True}}, {"bug": 0}),
    ({"verdict": {"bug": False}}, {"bug": 1}),
    ({"verdict": {"expected": "decline"}}, {"refusal": -1}),
    ({"verdict": {"expected": "refuse_premise"}}, {"refusal": 1}),
    ({"verdict": {}, "gold_pages": ["kernel/X", "kernel/z"]}, {"cites_gold": 1, "gold_share": 0.5}),
]


@pytest.mark.parametrize(("expected", "points"), GRADES)
def test_grade(expected: dict[str, Any], points: Points) -> None:
    assert grade(expected, ANSWER) == points


def test_what_is_left_open_gets_half_a_point_when_it_asks() -> None:
    wanted = {"verdict": {"pool": "paged_ok", "callable": "yes"}}
    left_open: dict[str, Any] = {"answer": "It depends.", "verdict": {"pool": "depends", "callable": "conditional"}}
    assert grade(wanted, left_open) == {"pool": 0, "callable": 0}
    assert grade(wanted, {**left_open, "ask_back": "Where?", "verdict": {**left_open["verdict"], "condition": "where"}}) == {"pool": 0.5, "callable": 0.5}
    assert grade(wanted, {}) == {"pool": 0, "callable": 0}


def test_the_summary_counts_verdicts_and_citations_apart() -> None:
    found = summary([{"pool": 1.0, "cites_gold": 1.0, "gold_share": 0.5}, {"pool": -1.0, "callable": 0.5, "cites_gold": 0.0}])
    assert (found.judged, found.wrong, found.cited) == (3, 1, 0.5)
    assert found.score == pytest.approx(0.5 / 3)
    assert found.full == pytest.approx(1 / 3)


if __name__ == "__main__":
    print(table())
