"""
Latency and memory over 50,000 chunks, stock beside ours: `python -m bench.latency`.

Texts are real (pages drawn evenly from both repositories), vectors are made up: how long a search takes does not depend on what they
mean, and embedding them would take an hour with the stock chain. Each side answers in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.corpus import ROOT, pages, places

CHUNKS = 50_000
PAGES_FOR_A_CHUNK = 0.2  # measured
WARM = 20  # questions that are not counted


def asked() -> list[str]:
    """The questions: by hand, and names in templates."""
    rows = yaml.safe_load((Path(__file__).parent / "hand.yaml").read_text(encoding="utf-8"))
    names = ("KeWaitForSingleObject", "ExAllocatePool2", "IoCompleteRequest", "KeAcquireSpinLock", "MmProbeAndLockPages", "ZwCreateFile", "WdfRequestComplete", "ExFreePoolWithTag")
    templates = ("At what IRQL can I call {}?", "{} irql", "Can {} be called at DISPATCH_LEVEL?", "What does {} do?", "May I call {} in a DPC?")
    return [str(row["ask"]) for row in rows] + [template.format(name) for template in templates for name in names]


def made_up(count: int, width: int, seed: int) -> np.ndarray:
    """Unit vectors in clusters, as embeddings lie."""
    random = np.random.default_rng(seed)
    centers = random.normal(size=(400, width)).astype(np.float32)
    vectors = centers[random.integers(0, 400, count)] + 0.8 * random.normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Pretender:
    """An engine that makes its vectors up, under the name of the real one, so that questions are embedded for real."""

    def __init__(self, name: str, width: int) -> None:
        self.name, self.width, self._calls = name, width, 0

    def embed(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> np.ndarray:
        """Vectors that have nothing to do with the texts."""
        self._calls += 1
        return made_up(len(texts), self.width, self._calls)


def build_ours(folder: Path, count: int) -> int:
    """An index of about *count* chunks by the real ingest, all but the embedding; its chunks."""
    from ingest import publish
    from ingest.fetch import find_sources
    from kb.embedding import load_for_ingest

    real = load_for_ingest(lambda notice: None)
    publish.load_for_ingest = lambda notice: Pretender(real.name, real.width)  # type: ignore[assignment]
    return publish.refresh(folder / "index", find_sources(str(folder / "pages"))).chunks


def build_stock(folder: Path, count: int) -> int:
    """A Chroma folder as `Chroma.from_documents` writes it, all but the embedding."""
    import chromadb
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    texts: list[str] = []
    sources: list[str] = []
    for path in sorted((folder / "pages").rglob("*.md")):
        pieces = splitter.split_text(path.read_text(encoding="utf-8"))
        texts += pieces
        sources += [path.name] * len(pieces)
        if len(texts) >= count:
            break
    texts, vectors = texts[:count], made_up(min(count, len(texts)), 384, 0)
    collection = chromadb.PersistentClient(path=str(folder / "stock")).create_collection("langchain")
    for start in range(0, len(texts), 5000):
        some = slice(start, start + 5000)
        collection.add(
            ids=[str(row) for row in range(start, start + len(texts[some]))],
            documents=texts[some],
            metadatas=[{"source": name} for name in sources[some]],
            embeddings=vectors[some],
        )
    return len(texts)


def timed(call: Callable[[str], object]) -> dict[str, float]:
    """Milliseconds of every question, after a warm-up."""
    questions = asked()
    times = []
    for text in [*questions[:WARM], *questions, *questions]:
        start = time.perf_counter()
        call(text)
        times.append((time.perf_counter() - start) * 1000)
    times = sorted(times[WARM:])
    return {"p50_ms": round(times[len(times) // 2], 1), "p95_ms": round(times[int(len(times) * 0.95)], 1)}


def memory() -> int | None:
    """Megabytes this process holds now; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        return None


def serve(side: str, folder: Path) -> dict[str, Any]:
    """Answer all questions; latencies and memory."""
    if side == "stock":
        from langchain_chroma import Chroma
        from langchain_huggingface import HuggingFaceEmbeddings

        from kb.embedding import packaged_folder

        stock = Chroma(persist_directory=str(folder / "stock"), embedding_function=HuggingFaceEmbeddings(model_name=str(packaged_folder()))).as_retriever(search_kwargs={"k": 4})
        return {"invoke, k=4": timed(stock.invoke), "memory_mb": memory()}
    from kb.chain import Assistant
    from kb.index import Index
    from kb.retriever import Retriever

    retriever = Retriever(Index.open(folder / "index"))
    found = timed(lambda text: retriever.find(text, k=10))
    alone = memory()
    assistant = Assistant.open(folder / "index")
    return {"find, k=10": found, "ask": timed(assistant.ask), "memory_mb": memory(), "memory_of_retrieval_mb": alone}


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, ask, print; 1 when there is no corpus."""
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description="Latency and memory over 50,000 chunks, stock beside ours.")
    parser.add_argument("--chunks", type=int, default=CHUNKS, help="how many chunks on each side (default: 50,000)")
    parser.add_argument("--role", choices=["build-ours", "build-stock", "ours", "stock"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.role:
        os.environ["KB_LOG"] = "0"
        builders = {"build-ours": build_ours, "build-stock": build_stock}
        print(json.dumps(builders[chosen.role](chosen.folder, chosen.chunks) if chosen.role in builders else serve(chosen.role, chosen.folder)))
        return 0
    if not places():
        print("bench: there is no corpus; put the two archives in ../shared/corpus or name an unpacked copy: KB_CORPUS=FOLDER", file=sys.stderr)
        return 1
    from kb.embedding import cache_folder

    with tempfile.TemporaryDirectory(prefix="poolwise-bench-") as home:
        folder = Path(home)
        raw = sorted(pages(lambda page: True))
        for page, text in raw[:: max(1, int(len(raw) / (chosen.chunks * PAGES_FOR_A_CHUNK)))][: int(chosen.chunks * PAGES_FOR_A_CHUNK)]:
            place = folder / "pages" / (f"wdk-ddi-src/content/{page[4:]}.md" if page.startswith("ddi/") else f"windows-driver-docs-pr/{page}.md")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        models = cache_folder() / "models"
        if models.is_dir():
            shutil.copytree(models, folder / "cache" / "models")
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "KB_CACHE": str(folder / "cache"), "ANONYMIZED_TELEMETRY": "False"}

        def role(name: str) -> Any:
            command = [sys.executable, "-m", "bench.latency", "--role", name, "--folder", str(folder), "--chunks", str(chosen.chunks)]
            return json.loads(subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout.splitlines()[-1])

        chunks = {"ours": role("build-ours"), "stock": role("build-stock")}
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        found = {side: role(side) for side in ("stock", "ours")}
    print(f"{chunks['ours']} chunks of ours, {chunks['stock']} of stock; {os.cpu_count()} cores, load {load} before the questions")
    for side, rows in found.items():
        for name, value in rows.items():
            print(f"{side:<6}{name:<24}" + (f"p50 {value['p50_ms']} ms, p95 {value['p95_ms']} ms" if isinstance(value, dict) else f"{value} MB"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
