"""The repository's own questions in, what the thresholds separate out (`python -m kb thresholds`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from kb.answer.articles import rank_articles
from kb.chain import Assistant
from kb.thresholds import ARTICLE_SCORE, PASSAGE_COSINE, PASSAGE_WORDS, SPELLING_SCORE, TYPO_DISTANCE

QUESTIONS = Path(__file__).resolve().parents[1] / "tests" / "questions"


def questions() -> Iterator[tuple[str, str]]:
    """The repository's own questions that need an explanation (`in`) or must be declined (`out`)."""
    for path in sorted(QUESTIONS.rglob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            if item.get("kind") in ("why", "howto"):
                yield "in", item["question"]
            elif item.get("verdict", {}).get("expected") == "decline":
                yield "out", item["question"]


def measure(assistant: Assistant) -> list[str]:
    """
    Measure what the thresholds separate on the repository's own questions.

    Args:
        assistant: For its index; without one only the articles are measured.

    Returns:
        Lines to print: for each score the share of in-scope questions above the threshold and of out-of-scope ones below it.
    """
    scores: dict[str, dict[str, list[float]]] = {"article score": {"in": [], "out": []}, "passage cosine": {"in": [], "out": []}, "passage words": {"in": [], "out": []}}
    retriever = assistant.retriever()
    for side, text in questions():
        ranked = rank_articles(text)
        scores["article score"][side].append(ranked[0][0] if ranked else 0.0)
        if retriever is not None:
            found = retriever.find(text, k=5)
            scores["passage cosine"][side].append(max((one.cosine for one in found), default=0.0))
            scores["passage words"][side].append(max((one.words for one in found), default=0.0))
    lines = []
    for (name, sides), threshold in zip(scores.items(), (ARTICLE_SCORE, PASSAGE_COSINE, PASSAGE_WORDS), strict=True):
        inside, outside = sorted(sides["in"]), sorted(sides["out"])
        if not inside or not outside:
            lines.append(f"{name}: not measured ({'no index: python -m ingest' if name != 'article score' else 'the questions of tests/questions are not here'})")
            continue
        above = sum(score >= threshold for score in inside) / len(inside)
        below = sum(score < threshold for score in outside) / len(outside)
        lines.append(
            f"{name}: threshold {threshold:g}; {above:.0%} of {len(inside)} in-scope questions are above it (lowest {inside[0]:.2f}, median {inside[len(inside) // 2]:.2f}), "
            f"{below:.0%} of {len(outside)} declined ones below (median {outside[len(outside) // 2]:.2f}, highest {outside[-1]:.2f})"
        )
    lines.append(f"typing slips: up to {TYPO_DISTANCE} edits in a routine's name; a plain word from {SPELLING_SCORE:g} of 100")
    return lines
