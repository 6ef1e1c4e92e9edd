"""
Trained candidates beside the ranking that ships: `python -m bench.trained --index FOLDER [--only static,tuned,late]`.

Trains, for minutes and in memory, a static embedding (a vector a token, the mean of them a text; no transformer) and the packaged encoder
itself, both with a contrastive loss on headings and sections of the index. Late interaction (the best match of every token of a question)
trains nothing and is measured here too. Each is tried alone, in place of the cosine, and as a fifth score; the weight of a fifth score is
chosen on one half of the questions. No page that is gold or source of any question, nor a twin of one, is trained on. Nothing is kept.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.corpus import pages
from bench.questions import Question, build, by_hand, one, scores
from bench.ranking import OURS, bootstrap, half, mean_of_kinds
from ingest.chunks import embedded
from kb.embedding import Engine, Int8Engine, Tokens, packaged_folder, said
from kb.index import Candidates, Chunk, Index
from kb.index.words import best
from kb.retriever import BARE_LOSS, DEPTH, NAME_BONUS, PAGE_SHARE, TITLE_SHARE, VECTOR_SHARE, WORD_SHARE, Retriever

SHARES = (VECTOR_SHARE, WORD_SHARE, PAGE_SHARE, TITLE_SHARE)
FIFTHS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6)  # shares of a fifth score that are tried
THREADS = 2
SCALE = 20.0  # of a cosine before the softmax
WIDTH = 256  # of the static embedding
NARROW = 64  # of the principal axes of token vectors
LONGEST = 64  # tokens of a text when the encoder is trained
SEED = 20261122
_HEADER = re.compile(r"\s\([\w.-]+\.h\w*\)")

Vectors = NDArray[np.float32]
Figures = dict[Question, tuple[float, ...]]
Pair = tuple[str, str]


def unit(vectors: Vectors) -> Vectors:
    """Rows brought to length 1."""
    out: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return out


def say(text: str) -> None:
    """A line at once, and the seconds since the program started."""
    print(f"[{time.perf_counter():7.0f} s] {text}", flush=True)


class Static:
    """A vector for each token, the mean of them for a text: numpy and a tokenizer are all it takes."""

    def __init__(self, tokens: Tokens, table: Vectors) -> None:
        self._tokens = tokens
        self.table = table

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of each text without those that open and close it; one unknown token for an empty text."""
        return [row[1:-1] or [100] for row in self._tokens.ids(texts)]

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length 1 for each text."""
        return unit(np.stack([self.table[row].mean(axis=0) for row in self.ids(texts)]).astype(np.float32))


class Bench:
    """Questions with their candidates, fetched once, and every way to score them."""

    def __init__(self, folder: Path) -> None:
        self.index = Index.open(folder)
        self.now = self.index._current()
        retriever = Retriever(self.index)
        rows = list(range(self.now.store.rows))
        held = self.now.store.by_row(rows)
        self.chunks: list[Chunk] = [held[row] for row in rows]
        self.texts = [embedded(chunk.kind, chunk.section, chunk.title, chunk.heading, chunk.text) for chunk in self.chunks]
        owner = [chunk.page if chunk.page.split("/")[0] not in OURS else "" for chunk in self.chunks]
        self.owner = np.array(owner, dtype=object)
        self.raw = dict(pages(set(owner).__contains__))
        self.questions = [*by_hand(self.raw), *build(self.raw)]
        self.named = {question: retriever._named(question.text, ()) for question in self.questions}
        self.vectors = np.asarray(self.now.vectors.of(np.arange(len(rows))), np.float32)
        self.asked = {question: self.index.embed_query(question.text) for question in self.questions}
        self.found = {question: self._candidates(question, self.asked[question]) for question in self.questions}
        self.shut = frozenset(one(page) for question in self.questions for page in (*question.gold, question.source) if page)
        self.ours = self.score(self.found)

    def _candidates(self, question: Question, vector: Vectors) -> Candidates:
        return self.index.candidates(question.text, vector, DEPTH, self.named[question])

    def alone(self, vectors: Vectors, asked: Mapping[Question, Vectors]) -> Figures:
        """The figures of vectors by themselves."""
        return {question: self._figures(question, [row for row, _ in best(vectors @ vector, 200)]) for question, vector in asked.items()}

    def instead(self, vectors: Vectors, asked: Mapping[Question, Vectors]) -> Figures:
        """The figures of our ranking with other vectors, in the candidates and in the score."""

        class Memory:
            """What the index asks of its vectors."""

            def nearest(self, vector: Vectors, k: int) -> list[tuple[int, float]]:
                return best(vectors @ vector, k)

            def of(self, rows: NDArray[np.int64]) -> Vectors:
                return vectors[rows]

        kept = self.now._vectors
        self.now._vectors = Memory()  # type: ignore[assignment]
        try:
            return self.score({question: self._candidates(question, vector) for question, vector in asked.items()})
        finally:
            self.now._vectors = kept

    def total(self, found: Candidates, fifth: Vectors | None = None, share: float = 0.0) -> Vectors:
        """Our score of candidates, as kb.retriever has it, and a share for a fifth score."""
        parts = [found.cosines - found.cosines.min(), found.words, found.page_words, found.title_words]
        shares = [part * (1 - share) / sum(SHARES) for part in SHARES]
        if fifth is not None:
            parts.append(fifth - fifth.min())
            shares.append(share)
        total = sum((weight * part / (part.max() or 1.0) for weight, part in zip(shares, parts, strict=True)), start=np.zeros(len(found.rows), np.float32))
        return np.asarray(np.round(total + NAME_BONUS * found.named - BARE_LOSS * found.bare, 4), np.float32)

    def score(self, held: Mapping[Question, Candidates], fifths: Mapping[Question, Vectors] | None = None, share: float = 0.0) -> Figures:
        """The figures of our ranking."""
        out = {}
        for question, found in held.items():
            total = self.total(found, fifths[question] if fifths else None, share)
            out[question] = self._figures(question, found.rows[np.lexsort((found.rows, -total))[:150]].tolist())
        return out

    def _figures(self, question: Question, rows: Sequence[int]) -> tuple[float, ...]:
        return scores([page for page in dict.fromkeys(self.owner[list(rows)].tolist()) if page and page != question.source], question.gold)

    def show(self, name: str, figures: Figures) -> None:
        """One row: nDCG@10 as mean of kinds over all, the half for choosing and the half for reporting; the difference from ours."""
        cells = []
        for wanted in (lambda question: True, half, lambda question: not half(question)):
            mine = {question: row for question, row in figures.items() if wanted(question)}
            mean, low, high = bootstrap(mine, {question: self.ours[question] for question in mine})
            cells.append(f"{mean_of_kinds(mine, 3):.4f} {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
        kinds = sorted({question.kind for question in figures})
        by_kind = ", ".join(f"{kind} {np.mean([row[3] for question, row in figures.items() if question.kind == kind]):.3f}" for kind in kinds)
        say(f"| {name} | {' | '.join(cells)} | {by_kind} |")

    def fifth(self, name: str, fifths: Mapping[Question, Vectors]) -> None:
        """Show a fifth score with the share that is best on the half for choosing."""
        tried = [(share, self.score(self.found, fifths, share)) for share in FIFTHS]
        chosen = [(mean_of_kinds({question: row for question, row in figures.items() if half(question)}, 3), share, figures) for share, figures in tried]
        say("choosing: " + ", ".join(f"{share}: {value:.4f}" for value, share, _ in chosen))
        value, share, figures = max(chosen, key=lambda row: (row[0], -row[1]))
        self.show(f"{name} as a fifth score, {share}", figures)

    def try_out(self, name: str, embed: Callable[[Sequence[str]], Vectors]) -> None:
        """Embed every chunk and question with a candidate, and show it alone, in place of the cosine and as a fifth score."""
        start = time.perf_counter()
        different = sorted(set(self.texts), key=len, reverse=True)
        place = {text: row for row, text in enumerate(different)}
        vectors = embed(different)[[place[text] for text in self.texts]]
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        asked = {question: embed([said(question.text) or question.text])[0] for question in self.questions}
        each = (time.perf_counter() - start) / len(asked) * 1000
        say(f"{name}: {len(different)} texts embedded in {seconds:.1f} s, a question in {each:.2f} ms")
        self.show(f"{name}, alone", self.alone(vectors, asked))
        self.show(f"{name} in place of the cosine", self.instead(vectors, asked))
        self.fifth(name, {question: vectors[found.rows] @ asked[question] for question, found in self.found.items()})


@dataclass(frozen=True)
class Pairs:
    """What is trained on: a short text and the passage that it stands for, by where it was taken from."""

    headings: list[Pair]
    sentences: list[Pair]
    links: list[Pair]


def pairs_of(bench: Bench) -> Pairs:
    """
    Pairs of an index, none from or about a page that a question counts.

    `headings`: title and heading, and the text below them. `sentences`: a sentence of a section, and the section without it.
    `links`: what bench.questions makes of all links, and the first section of the page that is linked; the questions that are
    asked are of this form, so that a gain by these alone would say little of other questions.
    """
    asked = [text for question in bench.questions if len(text := said(question.text)) > 30]

    def open_to(page: str, *texts: str) -> bool:
        return one(page) not in bench.shut and not any(question in text for question in asked for text in texts)

    headings: dict[str, str] = {}
    sentences: dict[str, str] = {}
    first: dict[str, str] = {}
    for chunk, whole, bare in zip(bench.chunks, bench.texts, bench.now.bare.tolist(), strict=True):
        if bare or not open_to(chunk.page, whole):
            continue
        first.setdefault(chunk.page, whole)
        text, heading = said(chunk.text), said(f"{_HEADER.sub('', chunk.title)} {chunk.heading}")
        if len(text) > 60:
            headings[text] = heading
        parts = [part for part in re.split(r"(?<=[.!?])\s+(?=[A-Z])|\n", chunk.text) if len(part) > 40]
        if len(parts) > 2:
            part = parts[len(parts) // 2]
            sentences[said(part)] = said(f"{_HEADER.sub('', chunk.title)} {chunk.heading} {chunk.text.replace(part, ' ')}")
    links = []
    for question in build(bench.raw, 10**6):
        gold = min(question.gold)
        if question.source and gold in first and open_to(question.source, said(question.text)):
            links.append((said(question.text), first[gold]))
    return Pairs([(heading, text) for text, heading in headings.items()], list(sentences.items()), links)


def distilled(engine: Engine, bench: Bench, tokens: Tokens) -> Static:
    """The packaged model's vector of every token of its vocabulary, the first 256 principal axes, frequent tokens made short."""
    vocabulary = (packaged_folder() / "vocab.txt").read_text(encoding="utf-8").split("\n")[:30522]
    vectors = engine.embed([token.removeprefix("##") or token for token in vocabulary])
    vectors = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(vectors.T @ vectors)
    out = Static(tokens, (vectors @ axes[:, ::-1][:, :WIDTH]).astype(np.float32))
    counts = np.bincount(np.concatenate([np.array(row) for row in out.ids(bench.texts)]), minlength=len(vocabulary)) + 1.0
    out.table = (out.table * (1e-3 / (1e-3 + counts / counts.sum()))[:, None]).astype(np.float32)
    return out


def batches(count: int, size: int) -> Iterator[NDArray[np.int64]]:
    """Shuffled batches without end."""
    random = np.random.default_rng(SEED)
    while True:
        order = random.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def contrastive(left: Any, right: Any) -> Any:
    """Every other passage of the batch is a wrong answer, both ways (MultipleNegativesRankingLoss, symmetric)."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    alike = normalize(left) @ normalize(right).T * SCALE
    answers = torch.arange(len(alike))
    return (cross_entropy(alike, answers) + cross_entropy(alike.T, answers)) / 2


def train_static(start: Static, pairs: Sequence[Pair], seconds: float, rate: float, batch: int = 1024) -> Static:
    """Train a static embedding on pairs for some seconds."""
    import torch

    sides = [start.ids([pair[side] for pair in pairs]) for side in (0, 1)]
    bag = torch.nn.EmbeddingBag.from_pretrained(torch.from_numpy(start.table.copy()), freeze=False, mode="mean")
    optimizer = torch.optim.Adam(bag.parameters(), lr=rate)
    begun, steps, losses = time.perf_counter(), 0, []
    for rows in batches(len(pairs), batch):
        lengths = [np.array([0, *(len(side[row]) for row in rows)]) for side in sides]
        mean = [bag(torch.tensor([token for row in rows for token in side[row]]), torch.from_numpy(np.cumsum(length)[:-1])) for side, length in zip(sides, lengths, strict=True)]
        loss = contrastive(*mean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        losses.append(loss.item())
        if time.perf_counter() - begun > seconds:
            break
    say(
        f"static: {len(pairs)} pairs, batch {batch}, rate {rate}, {steps} steps ({steps * batch / len(pairs):.1f} epochs) in {time.perf_counter() - begun:.0f} s, "
        f"loss {np.mean(losses[:20]):.3f} to {np.mean(losses[-20:]):.3f}"
    )
    return Static(start._tokens, bag.weight.detach().numpy().copy())


def static(bench: Bench, engine: Engine, pairs: Pairs, seconds: float) -> None:
    """Static embeddings: as distilled, and trained on two sets of pairs."""
    tokens = Tokens(packaged_folder())
    begun = time.perf_counter()
    start = distilled(engine, bench, tokens)
    say(f"static: distilled in {time.perf_counter() - begun:.0f} s; {start.table.nbytes / 1e6:.1f} MB, as float16 {start.table.nbytes / 2e6:.1f} MB")
    bench.try_out("static, distilled", start.embed)
    for name, some in (("headings", pairs.headings), ("headings, sentences, links", [*pairs.headings, *pairs.sentences, *pairs.links])):
        bench.try_out(f"static, trained on {name}", train_static(start, some, seconds, 0.003).embed)


def tuned(bench: Bench, pairs: Sequence[Pair], seconds: float, home: Path) -> None:
    """The packaged encoder, its upper three layers trained on pairs, exported to int8 as ours is."""
    import torch
    from safetensors.numpy import load_file
    from transformers import AutoModel

    from kb.embedding.export import write_onnx

    folder = packaged_folder()
    tokens = Tokens(folder)
    model: Any = AutoModel.from_pretrained(str(folder))
    model.eval()  # without dropout, so that the lower layers need no gradient
    for name, weight in model.named_parameters():
        weight.requires_grad = bool(re.search(r"layer\.[345]\.", name))
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=2e-5)
    sides = [[row[: LONGEST - 1] + row[-1:] if len(row) > LONGEST else row for row in tokens.ids([pair[side] for pair in pairs])] for side in (0, 1)]

    def means(rows: Sequence[Sequence[int]]) -> Any:
        width = max(map(len, rows))
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
        mask = (ids != 0).long()
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)

    begun, steps, losses, batch = time.perf_counter(), 0, [], 48
    for rows in batches(len(pairs), batch):
        loss = contrastive(*(means([side[row] for row in rows]) for side in sides))
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = 2e-5 * min(1.0, (steps + 1) / 10) * max(0.05, 1 - (time.perf_counter() - begun) / seconds)
        optimizer.step()
        steps += 1
        losses.append(loss.item())
        if time.perf_counter() - begun > seconds:
            break
    say(
        f"encoder: {len(pairs)} pairs, batch {batch}, {steps} steps ({steps * batch} pairs) in {time.perf_counter() - begun:.0f} s, loss {np.mean(losses[:20]):.3f} to {np.mean(losses[-20:]):.3f}"
    )
    changed = home / "tuned"
    shutil.copytree(folder, changed)
    _write_weights(model, load_file(folder / "model.safetensors"), changed / "model.safetensors")
    write_onnx(changed, home / "tuned-int8.onnx")
    say(f"encoder: {(home / 'tuned-int8.onnx').stat().st_size / 1e6:.1f} MB as int8")
    bench.try_out("encoder, fine-tuned", Int8Engine(home / "tuned-int8.onnx", tokens, THREADS).embed)


def _write_weights(model: Any, before: Mapping[str, Any], target: Path) -> None:
    """The weights of *before* under their names, with the values that *model* has now."""
    from safetensors.numpy import save_file

    now = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    save_file({name: np.ascontiguousarray(now.get(name.removeprefix("bert."), value)) for name, value in before.items()}, target)


def late(bench: Bench, home: Path, first: int) -> None:
    """Late interaction over the packaged encoder's token vectors, whole and narrow, for the first passages of our ranking."""
    import onnx
    import onnxruntime

    file = next(iter((bench.index.folder / "models").glob("*.onnx")))
    graph = onnx.load(str(file))
    hidden = next(node.input[0] for node in graph.graph.node if node.op_type == "ReduceMean")
    del graph.graph.output[:]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(hidden, onnx.TensorProto.FLOAT, None))
    onnx.save(graph, str(home / "tokens.onnx"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(str(home / "tokens.onnx"), options, providers=["CPUExecutionProvider"])
    tokens = Tokens(packaged_folder())

    def of(text: str) -> Vectors:
        rows = session.run(None, {"input_ids": np.array(tokens.ids([text]), np.int64)})[0]
        return unit(rows.reshape(-1, rows.shape[-1]))

    held: dict[str, Vectors] = {}
    firsts, asked, embedding = {}, {}, 0.0
    for question, found in bench.found.items():
        firsts[question] = np.lexsort((found.rows, -bench.total(found)))[:first]
        asked[question] = of(said(question.text) or question.text)
        start = time.perf_counter()
        for row in found.rows[firsts[question]].tolist():
            if bench.texts[row] not in held:
                held[bench.texts[row]] = of(bench.texts[row]).astype(np.float16)
        embedding += time.perf_counter() - start
    count = sum(map(len, held.values()))
    say(f"late interaction, first {first}: {len(held)} passages, {count} token vectors in {embedding:.0f} s")
    some = np.concatenate(list(held.values())[:1000]).astype(np.float32)
    axes = np.linalg.eigh(some.T @ some)[1][:, ::-1]
    for width in (axes.shape[1], NARROW):
        turn = np.ascontiguousarray(axes[:, :width])
        narrow = {text: unit(rows.astype(np.float32) @ turn) for text, rows in held.items()}
        fifths, matching = {}, 0.0
        for question, found in bench.found.items():
            passages = [narrow[bench.texts[row]] for row in found.rows[firsts[question]].tolist()]
            start = time.perf_counter()
            alike = unit(asked[question] @ turn) @ np.concatenate(passages).T
            match = np.maximum.reduceat(alike, np.cumsum([0, *map(len, passages[:-1])]), axis=1).mean(axis=0)
            matching += time.perf_counter() - start
            fifths[question] = np.full(len(found.rows), match.min(), np.float32)
            fifths[question][firsts[question]] = match
        size = count / len(held) * len(set(bench.texts)) * width / 1e6
        say(
            f"late interaction, first {first}, width {width}: a question in {matching / len(bench.found) * 1000:.1f} ms with the token vectors at hand; {size:.0f} MB for all texts as int8"
        )
        bench.fifth(f"late interaction, first {first}, width {width}", fifths)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and compare."""
    parser = argparse.ArgumentParser(prog="python -m bench.trained", description="Trained candidates beside the ranking that ships.")
    parser.add_argument("--index", type=Path, required=True, help="an index of whole folders of both repositories: python -m ingest --index FOLDER ARCHIVE --folders kernel,wdf")
    parser.add_argument("--only", default="static,late,tuned", help="which candidates, by comma")
    parser.add_argument("--seconds", type=float, default=90, help="of training a static embedding; the encoder takes three times as long")
    parser.add_argument("--first", type=int, default=50, help="how many passages late interaction ranks again")
    chosen = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    bench = Bench(chosen.index)
    say(f"{len(bench.questions)} questions, {len(bench.raw)} pages, {len(bench.chunks)} chunks; {len(bench.shut)} pages are not trained on")
    bench.show("ours", bench.ours)
    bench.show("vectors alone", bench.alone(bench.vectors, bench.asked))
    engine = bench.index._engine_now()
    wanted = chosen.only.split(",")
    pairs = pairs_of(bench)
    say(f"pairs: {len(pairs.headings)} of headings, {len(pairs.sentences)} of sentences, {len(pairs.links)} of links")
    with tempfile.TemporaryDirectory(prefix="poolwise-trained-") as home:
        if "static" in wanted:
            static(bench, engine, pairs, chosen.seconds)
        if "late" in wanted:
            late(bench, Path(home), chosen.first)
        if "tuned" in wanted:
            tuned(bench, [*pairs.headings, *pairs.sentences, *pairs.links], 3 * chosen.seconds, Path(home))
    return 0


if __name__ == "__main__":
    sys.exit(main())
