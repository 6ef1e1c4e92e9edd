"""Every question file through the whole pipeline, without an index: no file may score below what it scored before."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from kb.chain import Assistant
from kb.engine import load_knowledge
from tests.scoring import HEAD, Points, Summary, grade, summary

ROOT = Path(__file__).resolve().parent
QUESTIONS = ROOT / "questions"
EVALUATION = ROOT.parent.parent / "shared" / "eval"  # beside the repository, where it is kept


@functools.cache
def assistant() -> Assistant:
    """The assistant on the built-in knowledge, without an index."""
    return Assistant(load_knowledge(), Path("no-index"))


def lines(path: Path) -> list[dict[str, Any]]:
    """The questions of a file; a line without an expectation is not among them."""
    return [entry for entry in map(json.loads, path.read_text(encoding="utf-8").splitlines()) if "turns" in entry or "verdict" in entry]


def points_of(entry: dict[str, Any]) -> list[Points]:
    """Points of each turn of a line, asked as one conversation."""
    turns = [(turn["user"], turn["expect"]) for turn in entry["turns"]] if "turns" in entry else [(entry["question"], entry)]
    earlier, points = None, []
    for text, expected in turns:
        earlier = assistant().ask(text, earlier)
        points.append(grade(expected, earlier.to_json()))
    return points


def measured(path: Path) -> Summary:
    """The figures of one file."""
    return summary(points for entry in lines(path) for points in points_of(entry))


if __name__ == "__main__":
    for folder in (QUESTIONS, QUESTIONS / "holdout", QUESTIONS / "holdout2", EVALUATION):
        for path in sorted(folder.glob("*.jsonl")):
            if lines(path):
                print(measured(path).row(f"{folder.name}/{path.stem}"))
