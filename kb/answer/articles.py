"""Our own articles: front matter and sections in, the article that answers a question out."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

from kb.index.words import tokens
from kb.terms import KNOWLEDGE, Citation, KnowledgeError


@dataclass(frozen=True)
class Article:
    """One article of kb/knowledge/articles."""

    slug: str
    title: str
    kind: str
    questions: tuple[str, ...]
    sources: tuple[Citation, ...]
    sections: tuple[tuple[str, str], ...]
    """Heading (empty for the opening) and Markdown of each section."""


def read_article(path: Path) -> Article:
    """
    Load one article.

    Args:
        path: `kb/knowledge/articles/<slug>.md`.

    Returns:
        The article.

    Raises:
        KnowledgeError: Its front matter is malformed, or a mark `[n]` has no source.
    """
    text = path.read_text(encoding="utf-8")
    parts = text.split("---\n", 2)
    if len(parts) != 3:
        raise KnowledgeError(f"{path.name}: no front matter; begin with ---, title, kind, questions, sources, ---")
    try:
        front = yaml.load(parts[1], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise KnowledgeError(f"{path.name}: front matter is not YAML: {' '.join(str(error).split())}") from error
    missing = [key for key in ("title", "kind", "questions", "sources") if not front.get(key)]
    if missing:
        raise KnowledgeError(f"{path.name}: {', '.join(missing)} missing in the front matter")
    sources = tuple(Citation.read(entry, path.name) for entry in front["sources"])
    body = parts[2].strip()
    marks = {int(mark) for mark in re.findall(r"\[(\d+)\](?!\()", body)}
    if marks - set(range(1, len(sources) + 1)):
        raise KnowledgeError(f"{path.name}: marks {sorted(marks - set(range(1, len(sources) + 1)))} have no source; it lists {len(sources)}")
    sections: list[tuple[str, str]] = []
    heading = ""
    lines: list[str] = []
    for line in body.splitlines():
        if line.startswith("## "):
            if "\n".join(lines).strip():
                sections.append((heading, "\n".join(lines).strip()))
            heading, lines = line[3:].strip(), []
        elif not line.startswith("# "):
            lines.append(line)
    if "\n".join(lines).strip():
        sections.append((heading, "\n".join(lines).strip()))
    return Article(path.stem, str(front["title"]), str(front["kind"]), tuple(str(one) for one in front["questions"]), sources, tuple(sections))


@functools.lru_cache(maxsize=2)
def load_articles(folder: Path = KNOWLEDGE) -> tuple[Article, ...]:
    """All articles, by slug; faults of all files are reported together."""
    articles, faults = [], []
    for path in sorted((folder / "articles").glob("*.md")):
        try:
            articles.append(read_article(path))
        except KnowledgeError as error:
            faults.append(str(error))
    if faults:
        raise KnowledgeError("\n".join(faults))
    return tuple(articles)


BUGCHECK_SYMBOL = re.compile(r"\b[A-Z]{3,}(?:_[A-Z0-9]+){2,}\b(?<!_LEVEL)")  # IRQL_NOT_LESS_OR_EQUAL in a question about something else
QUESTION_SHARE, TITLE_SHARE, BODY_SHARE = 0.6, 0.25, 0.15  # of an article's score; questions are written in people's words
UNSEEN = 3.0  # weight of a token that no article holds


@functools.lru_cache(maxsize=2)
def weights(folder: Path = KNOWLEDGE) -> dict[str, float]:
    """Inverse document frequency of every token over the articles: a rare word tells more."""
    articles = load_articles(folder)
    seen: Counter[str] = Counter()
    for article in articles:
        text = " ".join([article.title, *article.questions, *(body for _, body in article.sections)])
        seen.update(set(tokens(text)))
    return {token: math.log(1 + len(articles) / count) for token, count in seen.items()}


class Weighed(NamedTuple):
    """The tokens of a text, and the sum of their weights."""

    held: frozenset[str]
    size: float


class Prepared(NamedTuple):
    """An article, ready to be compared with questions."""

    article: Article
    questions: tuple[Weighed, ...]
    title: Weighed
    body: Weighed


@functools.lru_cache(maxsize=2)
def prepared(folder: Path = KNOWLEDGE) -> tuple[Prepared, ...]:
    """All articles with their tokens, found once: doing so for each question took longer than all the rest of an answer."""
    return tuple(
        Prepared(one, tuple(weighed(question, folder) for question in one.questions), weighed(one.title, folder), weighed("\n".join(body for _, body in one.sections), folder))
        for one in load_articles(folder)
    )


@functools.lru_cache(maxsize=4096)
def weighed(text: str, folder: Path = KNOWLEDGE) -> Weighed:
    """A text's tokens with their weight."""
    idf, held = weights(folder), frozenset(tokens(text))
    return Weighed(held, sum(idf.get(token, UNSEEN) for token in sorted(held)))


def overlap(wanted: Sequence[str], text: Weighed, idf: Mapping[str, float]) -> float:
    """Share of the question's weighted tokens that a text holds, 0 to 1, damped by the length of a short text."""
    total = sum(idf.get(token, UNSEEN) for token in wanted)
    common = sum(idf.get(token, UNSEEN) for token in wanted if token in text.held)
    return common / math.sqrt(total * text.size) if total and text.size else 0.0


def rank_articles(text: str, folder: Path = KNOWLEDGE) -> list[tuple[float, Article]]:
    """
    Rank the articles for a question by its words.

    Args:
        text: The question.
        folder: The knowledge folder.

    Returns:
        Score (0 to 1, rounded) and article, best first, ties by slug.
    """
    return [(score, article) for score, article in _ranked(text, folder)]


@functools.lru_cache(maxsize=256)
def _ranked(text: str, folder: Path) -> tuple[tuple[float, Article], ...]:
    idf = weights(folder)
    wanted = list(dict.fromkeys(tokens(BUGCHECK_SYMBOL.sub(" ", text))))
    total = sum(idf.get(token, UNSEEN) for token in wanted) or 1.0
    scored = []
    for article, questions, title, text_body in prepared(folder):
        asked = max((overlap(wanted, question, idf) for question in questions), default=0.0)
        body = sum(idf.get(token, UNSEEN) for token in wanted if token in text_body.held) / total
        scored.append((round(QUESTION_SHARE * asked + TITLE_SHARE * overlap(wanted, title, idf) + BODY_SHARE * body, 4), article))
    return tuple(sorted(scored, key=lambda entry: (-entry[0], entry[1].slug)))


SECOND_SECTION = 0.6  # share of the best section's score from which the second best is shown too


def best_sections(text: str, article: Article) -> list[int]:
    """
    The sections that answer a question.

    Args:
        text: The question.
        article: The article.

    Returns:
        Numbers, rising: the section that holds most of the question's weighted words, and the second where it comes near.
    """
    idf = weights()
    wanted = list(dict.fromkeys(tokens(text)))
    scores = sorted(((-round(overlap(wanted, weighed(f"{heading} {body}"), idf), 6), number) for number, (heading, body) in enumerate(article.sections)))
    if len(scores) > 1 and scores[1][0] <= SECOND_SECTION * scores[0][0]:
        return sorted([scores[0][1], scores[1][1]])
    return [scores[0][1]] if scores else []


def renumber(markdown: str, sources: Sequence[Citation], number: dict[int, int]) -> str:
    """Replace an article's `[n]` by the answer's numbers."""
    del sources
    return re.sub(r"\[(\d+)\](?!\()", lambda found: f"[{number[int(found.group(1))]}]", markdown)
