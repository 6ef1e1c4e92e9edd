"""The command `python -m bench`: stock chain and ours over the same pages, side by side; prints a table and writes bench/latest.json."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.corpus import ROOT, pages, places
from bench.questions import Question, build, by_hand, scores

HERE = Path(__file__).parent
FIGURES = ("recall@5", "recall@10", "MRR@10", "nDCG@10")
Ranker = Callable[[str], list[str]]
"""A question in, page ids out, best first."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements; 0, or 1 when there is no corpus."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure ingest, retrieval quality and latency against the stock LangChain chain.")
    parser.add_argument("--pages", type=int, default=1000, help="how many pages of bench/pages.txt (default: all 1,000, about ten minutes)")
    parser.add_argument("--out", type=Path, default=HERE / "latest.json", help="where the figures are written")
    chosen = parser.parse_args(arguments)
    if not places():
        print("bench: there is no corpus; put the two archives in ../shared/corpus or name an unpacked copy: KB_CORPUS=FOLDER", file=sys.stderr)
        return 1
    listed = (HERE / "pages.txt").read_text(encoding="utf-8").split()
    wanted = set(listed[:: max(1, len(listed) // chosen.pages)][: chosen.pages])
    raw = dict(pages(wanted.__contains__))
    with tempfile.TemporaryDirectory(prefix="poolwise-bench-") as home:
        folder = Path(home)
        for page, text in raw.items():
            place = folder / "pages" / (f"wdk-ddi-src/content/{page[4:]}.md" if page.startswith("ddi/") else f"windows-driver-docs-pr/{page}.md")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        found: dict[str, Any] = {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
            "pages": len(raw),
            "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        }
        found["ingest"] = _ingest(folder)
        found["load_after_ingest"] = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        questions = [*by_hand(raw), *build(raw)]
        found |= _retrieval(folder, questions)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(render(found))
    return 0


def _run(command: list[str], environment: dict[str, str]) -> tuple[str, float, float]:
    """Output, seconds and peak memory in MB of one command."""
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed with {process.returncode}")
    return text, time.monotonic() - start, usage.ru_maxrss / 1024


def _ingest(folder: Path) -> dict[str, Any]:
    """Both ingests in processes of their own. Ours has the exported model already, but no vector, and leaves the built-in knowledge out."""
    from kb.embedding import cache_folder

    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "KB_CACHE": str(folder / "cache"), "ANONYMIZED_TELEMETRY": "False"}
    models = cache_folder() / "models"
    if models.is_dir():
        shutil.copytree(models, folder / "cache" / "models")
    text, seconds, peak = _run(["ingest", "--only-sources", "--json", "--index", str(folder / "index"), str(folder / "pages")], environment)
    summary = json.loads(text.splitlines()[-1])["summary"]
    ours = {"seconds": round(seconds, 1), "chunks": summary["embedded"], "peak_mb": round(peak), "stages": summary["seconds"]}
    _, seconds, _ = _run(["ingest", "--only-sources", "--quiet", "--index", str(folder / "index")], environment)
    ours["again_seconds"] = round(seconds, 1)
    text, seconds, peak = _run(["bench.stock", str(folder / "pages"), str(folder / "stock")], environment)
    stock = {**json.loads(text.splitlines()[-1]), "seconds": round(seconds, 1), "peak_mb": round(peak)}
    return {"stock": stock, "ours": ours, "times_faster": round(stock["seconds"] / ours["seconds"], 2)}


def _retrieval(folder: Path, questions: Sequence[Question]) -> dict[str, Any]:
    """Quality and latency of stock, words, vectors and ours."""
    from langchain_chroma import Chroma
    from langchain_huggingface import HuggingFaceEmbeddings

    from kb.embedding import packaged_folder
    from kb.index import Index
    from kb.retriever import Retriever

    index = Index.open(folder / "index")
    retriever = Retriever(index)
    stock = Chroma(persist_directory=str(folder / "stock"), embedding_function=HuggingFaceEmbeddings(model_name=str(packaged_folder()))).as_retriever(search_kwargs={"k": 60})

    def by_stock(text: str) -> list[str]:
        names = [document.metadata["source"].removesuffix(".md") for document in stock.invoke(text)]
        return [name.replace("wdk-ddi-src/content/", "ddi/").removeprefix("windows-driver-docs-pr/") for name in names]

    rankers: dict[str, Ranker] = {
        "stock": by_stock,
        "words alone": lambda text: [chunk.page for chunk, _ in index.search_words(text, 200)],
        "vectors alone": lambda text: [chunk.page for chunk, _ in index.nearest(index.embed_query(text), 200)],
        "ours": lambda text: [passage.page for passage in retriever.find(text, k=60, per_page=1)],
    }
    quality: dict[str, dict[str, list[float]]] = {}
    each: dict[str, list[float]] = {}
    for name, rank in rankers.items():
        by_kind: dict[str, list[tuple[float, ...]]] = {}
        for question in questions:
            ranked = [page for page in dict.fromkeys(rank(question.text)) if page != question.source]
            found = scores(ranked, question.gold)
            by_kind.setdefault(question.kind, []).append(found)
            each.setdefault(name, []).append(found[3])
        quality[name] = {kind: [round(statistics.mean(column), 3) for column in zip(*rows, strict=True)] for kind, rows in by_kind.items()}
        quality[name]["mean"] = [round(statistics.mean(column), 3) for column in zip(*quality[name].values(), strict=True)]
    latency = {}
    stock.search_kwargs["k"] = 4
    for name, call in (("stock invoke, k=4", lambda text: stock.invoke(text)), ("ours find, k=10", lambda text: retriever.find(text, k=10))):
        times = []
        for question in [*questions[:20], *questions]:
            start = time.perf_counter()
            call(question.text)
            times.append((time.perf_counter() - start) * 1000)
        times = sorted(times[20:])
        latency[name] = {"p50_ms": round(times[len(times) // 2], 1), "p95_ms": round(times[int(len(times) * 0.95)], 1)}
    return {
        "questions": {kind: sum(question.kind == kind for question in questions) for kind in quality["ours"] if kind != "mean"},
        "quality": quality,
        "ours_minus_stock_ndcg": _bootstrap(each["ours"], each["stock"]),
        "ours_minus_words_ndcg": _bootstrap(each["ours"], each["words alone"]),
        "latency": latency,
    }


def _bootstrap(one: Sequence[float], other: Sequence[float], rounds: int = 2000) -> dict[str, float]:
    """Mean difference with its 95 % interval, questions drawn in pairs."""
    import numpy as np

    difference = np.array(one) - np.array(other)
    random = np.random.default_rng(1)
    means = np.sort(difference[random.integers(0, len(difference), (rounds, len(difference)))].mean(axis=1))
    return {"mean": round(float(difference.mean()), 3), "low": round(float(means[int(rounds * 0.025)]), 3), "high": round(float(means[int(rounds * 0.975)]), 3)}


def render(found: dict[str, Any]) -> str:
    """The figures as a table."""
    stock, ours = found["ingest"]["stock"], found["ingest"]["ours"]
    lines = [
        f"{found['pages']} pages; {found['machine']}; load {found['load_before']} before, {found['load_after_ingest']} after ingest",
        "",
        f"{'ingest':<18}{'seconds':>9}{'chunks':>8}{'peak MB':>9}",
        f"{'stock':<18}{stock['seconds']:>9}{stock['chunks']:>8}{stock['peak_mb']:>9}",
        f"{'ours':<18}{ours['seconds']:>9}{ours['chunks']:>8}{ours['peak_mb']:>9}   {found['ingest']['times_faster']} times faster; again, unchanged: {ours['again_seconds']} s",
        "",
        f"{'quality':<18}" + "".join(f"{kind + ' (' + str(count) + ')':>28}" for kind, count in [*found["questions"].items(), ("mean", len(found["questions"]))]),
        f"{'':<18}" + "".join(f"{'R@5   R@10  MRR   nDCG':>28}" for _ in range(len(found["questions"]) + 1)),
    ]
    for name, kinds in found["quality"].items():
        lines.append(f"{name:<18}" + "".join(f"{'  '.join(f'{figure:.2f}' for figure in kinds[kind]):>28}" for kind in [*found["questions"], "mean"]))
    for label, key in (("stock", "ours_minus_stock_ndcg"), ("words alone", "ours_minus_words_ndcg")):
        gap = found[key]
        lines.append(f"nDCG@10, ours minus {label}: {gap['mean']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}] (paired bootstrap, 95 %)")
    lines += ["", *(f"{name:<20} p50 {times['p50_ms']} ms, p95 {times['p95_ms']} ms" for name, times in found["latency"].items())]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
