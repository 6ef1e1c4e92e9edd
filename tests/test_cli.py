"""The command line as people and scripts meet it: exit codes 0, 1 and 2, one line on stderr, never a traceback. The slow ones are real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kb.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
slow = pytest.mark.slow  # each starts Python anew


def run(*arguments: str | bytes, given: bytes = b"", module: str = "kb", **more: str) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own."""
    environment = {**os.environ, "KB_LOG": "0", "PYTHONUTF8": "1", **more}
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, env=environment, input=given, capture_output=True, timeout=120)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8", "replace"))


@slow
def test_ask(tmp_path: Path) -> None:
    done = run("ask", "Can a DPC touch paged pool?", "--index", str(tmp_path))
    assert done.returncode == 0 and "nonpaged" in done.stdout and "[1]" in done.stdout
    assert "python -m ingest" in done.stderr, "the cure for the missing index"


@slow
def test_ask_json_has_the_documented_keys(tmp_path: Path) -> None:
    answer = json.loads(run("ask", "Can a DPC touch paged pool?", "--json", "--index", str(tmp_path)).stdout)
    assert {"question", "kind", "facts", "verdict", "derivation", "findings", "ask_back", "answer", "citations", "abstained", "model"} <= set(answer)
    assert set(answer["verdict"]) >= {"outcome", "pool", "callable", "max_irql", "min_irql", "condition"}
    assert (answer["verdict"]["outcome"], answer["verdict"]["pool"]) == ("forbidden", "nonpaged_required")
    assert all({"rule", "says", "from", "citations"} <= set(step) for step in answer["derivation"]) and answer["derivation"]


@slow
def test_batch_answers_in_order_and_carries_conversations(tmp_path: Path) -> None:
    lines = [{"id": "b", "question": "Can a DPC touch paged pool?"}, {"id": "a", "turns": [{"user": "Storage for an ERESOURCE?"}, {"user": "and an EX_PUSH_LOCK?"}]}]
    (tmp_path / "in.jsonl").write_text("\ufeff" + "\n\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    done = run("ask", "--batch", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out.jsonl"), "--index", str(tmp_path))
    assert done.returncode == 0, done.stderr
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["id"] for entry in out] == ["b", "a"]
    assert [len(entry["answers"]) for entry in out] == [1, 2] == [len(entry["seconds"]) for entry in out]


@slow
def test_irql_in_words_in_json_and_for_many(tmp_path: Path) -> None:
    done = run("irql", "kesetevent")
    assert done.returncode == 0 and "KeSetEvent" in done.stdout and "APC_LEVEL" in done.stdout
    record = json.loads(run("irql", "KeSetEvent", "--json").stdout)
    assert (record["found"], record["max"], record["role"]) == (True, "DISPATCH_LEVEL", "called_by_driver")
    (tmp_path / "names.txt").write_text("KeSetEvent\nKeSetEvnt\n", encoding="utf-8")
    records = [json.loads(line) for line in run("irql", "--batch", str(tmp_path / "names.txt")).stdout.splitlines()]
    assert [record["found"] for record in records] == [True, False]
    assert "KeSetEvent" in records[1]["near"]


@pytest.mark.parametrize("command", [[], ["ask"], ["irql"], ["search"], ["doctor"]])
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    assert left.value.code == 0 and capsys.readouterr().out.startswith("usage: python -m kb")


@slow
@pytest.mark.parametrize("module", ["kb.reference", "ingest"])
def test_help_of_the_other_commands(module: str) -> None:
    done = run("--help", module=module)
    assert done.returncode == 0 and done.stdout.startswith(f"usage: python -m {module}")


@pytest.mark.parametrize("wrong", [[], ["answer"], ["ask", "x", "--jsno"], ["search"], ["search", "x", "-k", "many"], ["ask", "a", "b"]])
def test_wrong_usage_is_exit_code_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(wrong)
    assert left.value.code == 2 and "usage:" in capsys.readouterr().err


@slow
def test_exit_codes_and_lines_of_real_processes(tmp_path: Path) -> None:
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)))
    usage, failure, binary = run("answer"), run("irql", "KeSetEvnt"), run("ask", "--batch", str(tmp_path / "binary.jsonl"), "--out", str(tmp_path / "out"))
    assert (usage.returncode, failure.returncode, binary.returncode) == (2, 1, 1)
    assert [len(done.stderr.splitlines()) for done in (failure, binary)] == [1, 1]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["ask", ""], "no question"),
        (["ask", "   "], "no question"),
        (["ask"], "no question"),
        (["ask", "--batch", "nowhere.jsonl", "--out", "OUT"], "nowhere.jsonl"),
        (["ask", "--batch", "BROKEN", "--out", "OUT"], "broken.jsonl, line 2"),
        (["ask", "--batch", "ODD", "--out", "OUT"], "odd.jsonl, line 1"),
        (["ask", "--batch", "BINARY", "--out", "OUT"], "binary.jsonl"),
        (["ask", "--batch", "GOOD"], "--out"),
        (["ask", "--batch", "GOOD", "--out", "nowhere/out.jsonl"], "nowhere"),
        (["ask", "--batch", "FOLDER", "--out", "OUT"], "FOLDER"),
        (["irql"], "no name"),
        (["irql", "KeSetEvnt"], "KeSetEvent"),
        (["irql", "--batch", "nowhere.txt"], "nowhere.txt"),
        (["irql", "--batch", "BINARY"], "binary.jsonl"),
        (["search", " "], "no text"),
        (["search", "paged pool", "--index", "FOLDER"], "python -m ingest"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_failure_is_one_line_with_the_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], says: str) -> None:
    good = '{"id": 1, "question": "Can a DPC touch paged pool?"}\n'
    (tmp_path / "good.jsonl").write_text(good, encoding="utf-8")
    (tmp_path / "broken.jsonl").write_text(good + "{not json\n", encoding="utf-8")
    (tmp_path / "odd.jsonl").write_text('{"id": 1, "turns": ["no mapping"]}\n', encoding="utf-8")
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)))
    (tmp_path / "folder").mkdir()
    paths = {"OUT": "out.jsonl", "BROKEN": "broken.jsonl", "ODD": "odd.jsonl", "BINARY": "binary.jsonl", "GOOD": "good.jsonl", "FOLDER": "folder"}
    index = ["--index", str(tmp_path / "folder")] if wrong[0] == "ask" else []
    assert main([*(str(tmp_path / paths[one]) if one in paths else one for one in wrong), *index]) == 1
    told = capsys.readouterr().err
    assert len(told.strip().splitlines()) == 1 and says.replace("FOLDER", "folder") in told, told


ODD = ["\x00\x01", "?" * 5000, "\u221e \u2713 \u4e2d\u6587 \u202e", "'; DROP TABLE pool; --", "```c\n((((((\n", "<script>alert(1)</script>", "[1](javascript:x)", "%s%n%x", "\ufffd\ufffe"]


@slow
def test_odd_text_is_answered_or_declined_and_never_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"id": number, "question": text}) for number, text in enumerate(ODD)), encoding="utf-8")
    done = run("ask", "--batch", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out.jsonl"), "--index", str(tmp_path))
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == len(ODD)


@slow
@pytest.mark.parametrize("raw", [b"\xed\xa0\x80", b"\xff\xfe", b"\xe2\x88\x9e ?"])
def test_bytes_that_are_no_text_are_no_traceback_either(tmp_path: Path, raw: bytes) -> None:
    done = run("ask", raw, "--index", str(tmp_path))
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr


@slow
def test_output_into_a_closed_pipe_is_no_failure() -> None:
    done = subprocess.run(f"{sys.executable} -m kb irql KeSetEvent --json | true", shell=True, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == ""


@slow
def test_reference_check_tells_what_is_stale() -> None:
    done = run("--check", module="kb.reference")
    assert done.returncode in (0, 1) and ("up to date" in done.stdout or "run python -m kb.reference" in done.stdout)


@slow
def test_doctor_of_an_empty_folder_names_the_cure(tmp_path: Path) -> None:
    done = run("doctor", "--index", str(tmp_path))
    assert done.returncode == 1 and "FAIL" in done.stdout and "python -m ingest" in done.stdout
