"""How fast is what needs no index: load of the knowledge, reading a question, reviewing code, and a verdict with its derivation."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from kb.engine import decide, judge, load_knowledge
from kb.prove.profiles import profiles
from kb.question import Reader
from kb.snippet import review

QUESTIONS = Path(__file__).resolve().parent.parent / "tests" / "questions"

LOAD_TARGET = 0.3  # seconds, the whole knowledge in a warm process
VERDICT_TARGET = 1.0  # milliseconds at p99
READING_TARGET = 5.0  # milliseconds at p50
EVERY = 7  # of the profiles: some ten thousand questions


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def load_seconds() -> float:
    """Seconds to load rules, tables and DDI facts in a process of their own, imports not counted; the best of three."""
    code = "import time, kb.engine as e; t = time.perf_counter(); e.load_knowledge(); print(time.perf_counter() - t)"
    return min(float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) for _ in range(3))


Asked = TypeVar("Asked")


def timed(ask: Callable[[Asked], object], uses: Sequence[Asked]) -> list[float]:
    """Milliseconds of processor time of each question; the clock on the wall measures what else the machine does."""
    found = []
    for use in uses:
        started = time.process_time_ns()
        ask(use)
        found.append((time.process_time_ns() - started) / 1e6)
    return found


def main() -> int:
    """Measure and print; 1 when a target is missed."""
    load = load_seconds()
    knowledge = load_knowledge()
    uses = list(itertools.islice(profiles(knowledge), 0, None, EVERY))
    for use in uses[:500]:
        judge(use, knowledge)
    rows = (
        ("verdict on one use, with its derivation", timed(lambda use: judge(use, knowledge), uses)),
        ("the same for both pools and limits (decide)", timed(lambda use: decide([use], knowledge, explore=False), uses)),
        ("the same with a branch for each answer to what is asked", timed(lambda use: decide([use], knowledge), uses)),
    )
    reader = Reader(knowledge.terms, knowledge.ddis)
    texts = [json.loads(line).get("question", "") for path in sorted(QUESTIONS.rglob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [text for text in texts if text]
    snippets = [one for text in texts for one in reader.read(text).snippets]
    reading, reviewing = timed(reader.read, texts), timed(lambda code: review(code, [], knowledge), snippets)
    print(f"load of the whole knowledge: {load:.2f} s (target {LOAD_TARGET} s)")
    print(f"{'over ' + format(len(uses), ',') + ' questions, processor milliseconds':58} {'p50':>7} {'p99':>7} {'max':>7}")
    for name, times in rows:
        print(f"{name:58} {percentile(times, 0.5):7.3f} {percentile(times, 0.99):7.3f} {max(times):7.3f}")
    for name, times in ((f"reading each of {len(texts):,} questions", reading), (f"reviewing each of {len(snippets)} snippets", reviewing)):
        print(f"{name:58} {percentile(times, 0.5):7.3f} {percentile(times, 0.99):7.3f} {max(times):7.3f}")
    met = percentile(reading, 0.5) <= READING_TARGET and load <= LOAD_TARGET and percentile(rows[0][1], 0.99) <= VERDICT_TARGET
    print("targets met" if met else "TARGET MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
