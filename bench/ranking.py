"""
Rankings side by side over one index: `python -m bench.ranking --index FOLDER [--tune]`.

Compared are the stock chain's chunks by vectors, words alone, vectors alone, the best design of an earlier study rebuilt, and ours.
One half of the questions, drawn by a hash of their text, may be used for choosing weights (`--tune`); what is printed is the other half.
Stock's chunks are embedded with the int8 engine here (against fp32: no difference in rank quality that could be measured), because
fp32 takes half an hour for them; `python -m bench` runs the stock chain as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.corpus import pages
from bench.questions import Question, build, by_hand, scores
from ingest.cache import VectorCache, key
from ingest.pages import clean, front_matter
from kb.embedding import Engine, cache_folder, said
from kb.index import Candidates, Index
from kb.index.words import WordIndex, best, tokens
from kb.retriever import DEPTH, Retriever

FIGURES = 4  # recall@5, recall@10, MRR@10, nDCG@10
OURS = frozenset({"rule", "table", "article"})  # pages of the built-in knowledge, which are gold of no question
ROUNDS = 5000  # of the bootstrap
Ranker = Callable[[str], list[str]]


def half(question: Question) -> bool:
    """Whether a question is one of those that weights are chosen on."""
    return hashlib.blake2b(question.text.encode(), digest_size=1).digest()[0] % 2 == 0


def embedded(engine: Engine, texts: Sequence[str]) -> np.ndarray:
    """Vectors of texts, from the cache where they are in it."""
    cache = VectorCache(cache_folder())
    keys = [key(engine.name, text) for text in texts]
    missing = sorted({name: text for name, text in zip(keys, texts, strict=True) if cache.missing([name])}.items(), key=lambda entry: -len(entry[1]))
    for start in range(0, len(missing), 512):
        some = missing[start : start + 512]
        cache.put([name for name, _ in some], engine.embed([text for _, text in some]))
        print(f"\rembedded {start + len(some)} of {len(missing)}", end="", file=sys.stderr, flush=True)
    out = np.stack([cache.get([name], engine.width)[0] for name in keys]).astype(np.float32)
    cache.close()
    return out


def card(raw: str) -> str:
    """What a page's front matter says of it, in one line each."""
    front, _ = front_matter(raw)
    parts = [clean(" ".join(front.get(name, []))) for name in ("title", "description")]
    parts += [f"{label}: {clean(' '.join(front.get(name, [])))}" for label, name in (("IRQL", "req.irql"), ("Header", "req.header")) if front.get(name)]
    return "\n".join(part for part in parts if part)


def by_stock(raw: Mapping[str, str], engine: Engine) -> Ranker:
    """The stock chain: raw pages, 1,000 characters with an overlap of 200, by cosine."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    texts, owner = [], []
    for page, text in sorted(raw.items()):
        pieces = splitter.split_text(text)
        texts += pieces
        owner += [page] * len(pieces)
    vectors = embedded(engine, texts)

    def rank(text: str) -> list[str]:
        return [owner[row] for row in np.argsort(-(vectors @ engine.embed([text])[0]), kind="stable")[:200]]

    return rank


def by_table(raw: Mapping[str, str], index: Index, engine: Engine, folder: Path) -> Ranker:
    """The best design of an earlier study without training: reciprocal ranks (60) of vectors with cards, twice BM25 with cards, page BM25, and exact names."""
    now = index._current()
    owner = now.store.page_rows()
    cards = {page: card(text) for page, text in sorted(raw.items())}
    owners = owner + list(cards)
    vectors = np.concatenate([now.vectors.of(np.arange(now.store.rows)), embedded(engine, [said(text) for text in cards.values()])])
    chunks = now.store.by_row(list(range(now.store.rows)))
    WordIndex.build([tokens(chunks[row].full) for row in range(now.store.rows)] + [tokens(text) for text in cards.values()], folder / "cards")
    words = WordIndex(folder / "cards")
    by_page = sorted(set(owner))

    def rank(text: str) -> list[str]:
        similar = vectors @ index.embed_query(text)
        lists = [
            (1.0, [owners[row] for row in np.argsort(-similar, kind="stable")[:300]]),
            (2.0, [owners[row] for row, _ in best(words.scores(text), 300)]),
            (1.0, [by_page[row] for row, _ in best(now.page_words.scores(text), 100)]),
            (4.0, [page for name in re.findall(r"[A-Za-z_]\w{3,}", text) if re.search(r"[a-z][A-Z]|_", name) for page in index.pages_named(name)]),
        ]
        total: dict[str, float] = {}
        for weight, ranked in lists:
            for place, page in enumerate(dict.fromkeys(ranked)):
                total[page] = total.get(page, 0.0) + weight / (60 + place + 1)
        return sorted(total, key=lambda page: (-total[page], page))

    return rank


def measured(rank: Ranker, questions: Iterable[Question], raw: Mapping[str, str]) -> dict[Question, tuple[float, ...]]:
    """Every figure of every question. Only official pages count: stock does not have ours."""
    return {question: scores([page for page in dict.fromkeys(rank(question.text)) if page != question.source and page in raw], question.gold) for question in questions}


def mean_of_kinds(found: Mapping[Question, tuple[float, ...]], figure: int) -> float:
    """The mean over kinds of the mean over questions."""
    kinds: dict[str, list[float]] = {}
    for question, figures in found.items():
        kinds.setdefault(question.kind, []).append(figures[figure])
    return statistics.mean(statistics.mean(values) for values in kinds.values())


def bootstrap(one: Mapping[Question, tuple[float, ...]], other: Mapping[Question, tuple[float, ...]], kind: str = "") -> tuple[float, float, float]:
    """Difference of nDCG@10 with its 95 % interval: of one kind, or the mean of kinds, questions drawn in pairs within their kind."""
    random = np.random.default_rng(1)
    kinds: dict[str, list[float]] = {}
    for question, figures in one.items():
        if not kind or question.kind == kind:
            kinds.setdefault(question.kind, []).append(figures[3] - other[question][3])
    drawn = np.mean([np.array(values)[random.integers(0, len(values), (ROUNDS, len(values)))].mean(axis=1) for values in kinds.values()], axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return statistics.mean(statistics.mean(values) for values in kinds.values()), float(low), float(high)


class Tuner:
    """Candidates of every question, fetched once, ranked with many weights."""

    def __init__(self, index: Index, retriever: Retriever, questions: Sequence[Question]) -> None:
        owner = np.array([page if page.split("/")[0] not in OURS else "" for page in index._current().store.page_rows()], dtype=object)
        self._held: list[tuple[Question, Candidates, list[str]]] = []
        for question in questions:
            found = index.candidates(question.text, index.embed_query(question.text), DEPTH, retriever._named(question.text, ()))
            self._held.append((question, found, owner[found.rows].tolist()))

    def score(self, shares: tuple[float, float, float, float], name_bonus: float, bare_loss: float) -> dict[Question, tuple[float, ...]]:
        """The figures with some weights."""
        out = {}
        for question, found, owner in self._held:
            parts = (found.cosines - found.cosines.min(), found.words, found.page_words, found.title_words)
            total = sum(share / sum(shares) * part / (part.max() or 1.0) for share, part in zip(shares, parts, strict=True))
            total = total + name_bonus * found.named - bare_loss * found.bare
            order = np.lexsort((found.rows, -total))[:150]
            out[question] = scores([page for page in dict.fromkeys(owner[place] for place in order) if page and page != question.source], question.gold)
        return out


def tune(tuner: Tuner) -> None:
    """Print the best weights on the half that is for choosing."""
    rows = []
    for vectors, words, page, title in itertools.product((0.3, 0.4, 0.5), (0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3), (0.0, 0.1, 0.2)):
        rows.append((mean_of_kinds(tuner.score((vectors, words, page, title), 0.3, 0.3), 3), (vectors, words, page, title)))
    rows.sort(reverse=True)
    for value, shares in rows[:8]:
        print(f"{value:.4f} {shares}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, or choose weights; 1 when there is no index."""
    parser = argparse.ArgumentParser(prog="python -m bench.ranking", description="Compare rankings over one index.")
    parser.add_argument("--index", type=Path, required=True, help="an index of whole folders of both repositories: python -m ingest --index FOLDER ARCHIVE --folders kernel,wdf")
    parser.add_argument("--tune", action="store_true", help="print the best weights on the first half, and compare nothing")
    parser.add_argument("--no-stock", action="store_true", help="leave stock out: embedding its chunks takes ten minutes")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    chosen = parser.parse_args(arguments)
    index = Index.open(chosen.index)
    retriever = Retriever(index)
    held = set(index._current().store.page_rows())
    raw = dict(pages(held.__contains__))
    questions = [*by_hand(raw), *build(raw)]
    if chosen.tune:
        tune(Tuner(index, retriever, [question for question in questions if half(question)]))
        return 0
    engine = index._engine_now()
    with tempfile.TemporaryDirectory(prefix="poolwise-bench-") as home:
        rankers: dict[str, Ranker] = {} if chosen.no_stock else {"stock": by_stock(raw, engine)}
        rankers |= {
            "words alone": lambda text: [chunk.page for chunk, _ in index.search_words(text, 200)],
            "vectors alone": lambda text: [chunk.page for chunk, _ in index.nearest(index.embed_query(text), 200)],
            "table's best": by_table(raw, index, engine, Path(home)),
            "ours": lambda text: [passage.page for passage in retriever.find(text, k=90, per_page=1)],
        }
        found = {name: measured(rank, questions, raw) for name, rank in rankers.items()}
    report(found, len(raw), chosen.out)
    return 0


def report(found: Mapping[str, Mapping[Question, tuple[float, ...]]], count: int, out: Path | None) -> None:
    """Print every ranking over both halves and over the half for reporting, and the differences."""
    kinds = sorted({question.kind for question in found["ours"]})
    figures: dict[str, Any] = {"pages": count}
    for label, wanted in (("all questions", lambda question: True), ("half for reporting", lambda question: not half(question))):
        shown = {name: {question: row for question, row in rows.items() if wanted(question)} for name, rows in found.items()}
        print(f"\n{label}: {len(shown['ours'])} questions over {count} pages; recall@5, recall@10, MRR@10, nDCG@10")
        print(f"{'':<16}" + "".join(f"{kind + ' (' + str(sum(q.kind == kind for q in shown['ours'])) + ')':>26}" for kind in kinds) + f"{'mean of kinds':>26}")
        for name, rows in shown.items():
            cells = [[statistics.mean(row[figure] for question, row in rows.items() if question.kind == kind) for figure in range(FIGURES)] for kind in kinds]
            cells.append([mean_of_kinds(rows, figure) for figure in range(FIGURES)])
            print(f"{name:<16}" + "".join(f"{' '.join(f'{value:.3f}' for value in cell):>26}" for cell in cells))
            figures.setdefault(label, {})[name] = dict(zip([*kinds, "mean"], [[round(value, 4) for value in cell] for cell in cells], strict=True))
        for other in [name for name in shown if name != "ours"]:
            parts = []
            for kind in ["", *kinds]:
                mean, low, high = bootstrap(shown["ours"], shown[other], kind)
                parts.append(f"{kind or 'mean'} {mean:+.3f} [{low:+.3f}, {high:+.3f}]")
                figures[label].setdefault(f"ours minus {other}", {})[kind or "mean"] = [round(value, 4) for value in (mean, low, high)]
            print(f"nDCG@10, ours minus {other}: " + "; ".join(parts))
    if out:
        out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
