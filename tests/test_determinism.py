"""The same questions in two processes with different hash seeds give the same answers, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = sorted((ROOT / "tests" / "questions").glob("*.jsonl"))


def answers(seed: str, folder: Path, source: Path) -> bytes:
    """What one process writes, without the times."""
    out = folder / f"out-{seed}.jsonl"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "KB_LOG": "0"}
    subprocess.run([sys.executable, "-m", "kb", "ask", "--batch", str(source), "--out", str(out), "--index", str(folder / "none")], cwd=ROOT, env=environment, check=True, timeout=600)
    entries = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return b"\n".join(json.dumps({**entry, "seconds": None}, ensure_ascii=False).encode() for entry in entries)


@pytest.mark.slow
def test_two_processes_agree(tmp_path: Path) -> None:
    lines = []
    for path in QUESTIONS:
        for line in path.read_text(encoding="utf-8").splitlines()[:12]:
            entry = json.loads(line)
            lines.append(json.dumps({key: entry[key] for key in ("id", "question", "turns") if key in entry}, ensure_ascii=False))
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    one, other = (answers(seed, tmp_path, tmp_path / "in.jsonl") for seed in ("1", "4711"))
    for first, second in zip(one.splitlines(), other.splitlines(), strict=True):
        assert first == second
