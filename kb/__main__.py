"""The command line: python -m kb ask | irql | search | doctor | contradictions | thresholds."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.terms import KnowledgeError

if TYPE_CHECKING:
    from kb.engine import Knowledge


class Failure(Exception):
    """A failure to explain in one line: what, where, the cure."""


def ask(options: argparse.Namespace) -> int:
    """Answer one question, or a batch."""
    from kb.chain import Assistant

    assistant = Assistant.open(options.index)
    if options.batch is not None:
        return batch(assistant, options.batch, options.out)
    if not options.question or not options.question.strip():
        raise Failure('ask: no question; give one in quotes: python -m kb ask "Can a DPC touch paged pool?"')
    answer = assistant.ask(options.question)
    if options.json:
        print(json.dumps(answer.to_json(), ensure_ascii=False, indent=1))
        return 0
    print(answer.markdown)
    for cited in answer.citations:
        print(f"\n[{cited.n}] {cited.title}{' (not in the driver documentation)' if cited.outside else ''}\n    {cited.url}")
    if answer.notice:
        print(answer.notice, file=sys.stderr)
    return 0


def batch(assistant: object, source: Path, target: Path | None) -> int:
    """Answer many questions or conversations in one process, in order."""
    from kb.chain import Assistant

    assert isinstance(assistant, Assistant)
    if target is None:
        raise Failure("ask --batch: no --out FILE; name the file to write")
    lines = lines_of(source, "give a file of JSON lines")
    try:
        out = target.open("w", encoding="utf-8")
    except OSError as error:
        raise Failure(f"{target}: cannot be written ({error.strerror}); choose another --out") from error
    with out:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
                turns = [turn["user"] for turn in item["turns"]] if "turns" in item else [item["question"]]
                name = item["id"]
                if not all(isinstance(turn, str) for turn in turns):
                    raise TypeError
            except (ValueError, KeyError, TypeError) as error:
                raise Failure(f'{source}, line {number}: not a question; each line is {{"id", "question"}} or {{"id", "turns": [{{"user"}}]}}') from error
            answers, seconds, earlier = [], [], None
            for turn in turns:
                start = time.perf_counter()
                earlier = assistant.ask(turn, earlier)
                seconds.append(round(time.perf_counter() - start, 4))
                answers.append(earlier.to_json())
            out.write(json.dumps({"id": name, "answers": answers, "seconds": seconds}, ensure_ascii=False) + "\n")
    return 0


def lines_of(source: Path, cure: str) -> list[str]:
    """
    The lines of a text file.

    Args:
        source: The file.
        cure: What to give instead when it cannot be read.

    Returns:
        Its lines, without a byte-order mark.

    Raises:
        Failure: It cannot be read or is not UTF-8.
    """
    try:
        return source.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise Failure(f"{source}: cannot be read ({error.strerror}); {cure}") from error
    except UnicodeDecodeError as error:
        raise Failure(f"{source}: not UTF-8 text (byte {error.start}); {cure}") from error


def check(options: argparse.Namespace) -> int:
    """Judge a Case, or a batch of them, and write what was judged as JSON."""
    from kb.engine import load_knowledge

    knowledge = load_knowledge()
    if options.batch is not None:
        return check_batch(options.batch, options.out, knowledge)
    if not options.case:
        raise Failure("check: no Case; name a file of JSON, or - for standard input")
    text = sys.stdin.read() if options.case == "-" else "\n".join(lines_of(Path(options.case), "name a file that holds a Case"))
    print(json.dumps(judged_case(text, options.case, knowledge)[1], ensure_ascii=False))
    return 0


def check_batch(source: Path, target: Path | None, knowledge: Knowledge) -> int:
    """Judge many Cases in one process, in order; what is judged is written at once, so that a fault further down loses none of it."""
    if target is None:
        raise Failure("check --batch: no --out FILE; name the file to write")
    lines = lines_of(source, "give a file of JSON lines")
    try:
        out = target.open("w", encoding="utf-8")
    except OSError as error:
        raise Failure(f"{target}: cannot be written ({error.strerror}); choose another --out") from error
    with out:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                name, judged = judged_case(line, f"{source}, line {number}", knowledge, wrapped=True)
                out.write(json.dumps({"id": name, "answer": judged}, ensure_ascii=False) + "\n")
    return 0


def judged_case(text: str, where: str, knowledge: Knowledge, wrapped: bool = False) -> tuple[Any, dict[str, Any]]:
    """
    Judge one Case.

    Args:
        text: Its JSON; with *wrapped*, `{"id", "case"}`.
        where: File and line, for messages.
        knowledge: Rules and tables.
        wrapped: Whether the Case stands under `case`.

    Returns:
        The id, None without one, and what was judged.

    Raises:
        Failure: It is not JSON, or not a Case.
    """
    from kb.case import CaseError, read_case
    from kb.judge import judge_case

    try:
        item = json.loads(text)
        name, case = (item["id"], item["case"]) if wrapped else (None, item)
        return name, judge_case(read_case(case), knowledge).to_json()
    except CaseError as error:
        raise Failure(f"{where}: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        form = '{"id", "case"} a line' if wrapped else "one JSON object; README, On the command line"
        raise Failure(f"{where}: not a Case; give {form}") from error


def irql(options: argparse.Namespace) -> int:
    """Tell what is documented of a routine."""
    from kb.ddis import DdiTable, irql_text, not_found

    table = DdiTable.load()
    names = [options.name] if options.batch is None else lines_of(options.batch, "give a file with one name a line")
    names = [name.strip() for name in names if name and name.strip()]
    if not names:
        raise Failure("irql: no name; give one: python -m kb irql KeSetEvent")
    missing = 0
    for name in names:
        ddi = table.find(name)
        missing += ddi is None
        if options.json or options.batch is not None:
            print(json.dumps(ddi.to_json() if ddi is not None else not_found(table, name), ensure_ascii=False))
        elif ddi is not None:
            print(irql_text(ddi))
        else:
            near = not_found(table, name)["near"]
            raise Failure(f"irql: no documented routine '{name}'; nearest: {', '.join(near) or 'none'}")
    return 0


def search(options: argparse.Namespace) -> int:
    """Find passages."""
    from kb.chain import Assistant
    from kb.index import IndexMissingError

    if not options.text.strip():
        raise Failure('search: no text; give some: python -m kb search "paged pool at DISPATCH_LEVEL"')
    try:
        found = Assistant.open(options.index).search(options.text, options.k)
    except IndexMissingError as error:
        raise Failure(str(error)) from error
    if options.json:
        print(json.dumps([{"title": one.title, "url": one.url, "section": one.section, "score": one.score, "text": one.text} for one in found], ensure_ascii=False, indent=1))
        return 0
    for one in found:
        print(f"{one.score:.3f}  {one.title}" + (f" > {one.heading}" if one.heading and one.heading != one.title else "") + f"\n       {one.url}\n       {' '.join(one.text.split())[:200]}")
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Check the installation and the index by querying it."""
    from kb.doctor import check

    checks = check(options.index)
    for one in checks:
        print(f"{'ok  ' if one.ok else 'FAIL'} {one.name}: {one.message}")
    return 0 if all(one.ok for one in checks) else 1


def contradictions(options: argparse.Namespace) -> int:
    """List where the documentation disagrees with itself."""
    from kb.ddis import DdiTable, contradictions_lines

    del options
    for line in contradictions_lines(DdiTable.load()):
        print(line)
    return 0


def thresholds(options: argparse.Namespace) -> int:
    """Measure what the thresholds separate."""
    from kb.chain import Assistant
    from kb.measure import measure

    for line in measure(Assistant.open(options.index)):
        print(line)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(prog="python -m kb", description="Answers about kernel-mode memory in Windows drivers: pool, IRQL, calls, bug checks.")
    commands = top.add_subparsers(dest="command", required=True)
    one = commands.add_parser("ask", help="answer one question, or a batch")
    one.add_argument("question", nargs="?")
    one.add_argument("--json", action="store_true", help="the whole answer as JSON")
    one.add_argument("--batch", type=Path, metavar="IN.jsonl", help="many questions or conversations, one a line")
    one.add_argument("--out", type=Path, metavar="OUT.jsonl")
    one.add_argument("--index", type=Path, help="index folder (default: KB_INDEX or index/)")
    one.set_defaults(run=ask)
    one = commands.add_parser("check", help="judge a Case (JSON), or a batch")
    one.add_argument("case", nargs="?", help="a file, or - for standard input")
    one.add_argument("--json", action="store_true", help="JSON, the only form so far")
    one.add_argument("--batch", type=Path, metavar="IN.jsonl", help="{id, case} a line")
    one.add_argument("--out", type=Path, metavar="OUT.jsonl")
    one.set_defaults(run=check)
    one = commands.add_parser("irql", help="what is documented of a routine")
    one.add_argument("name", nargs="?")
    one.add_argument("--json", action="store_true")
    one.add_argument("--batch", type=Path, metavar="NAMES.txt", help="one name a line; writes one JSON line a name")
    one.set_defaults(run=irql)
    one = commands.add_parser("search", help="find passages")
    one.add_argument("text")
    one.add_argument("-k", type=int, default=10, help="how many (default 10)")
    one.add_argument("--json", action="store_true")
    one.add_argument("--index", type=Path)
    one.set_defaults(run=search)
    one = commands.add_parser("doctor", help="check the installation and the index")
    one.add_argument("--index", type=Path)
    one.set_defaults(run=doctor)
    one = commands.add_parser("contradictions", help="where the documentation disagrees with itself")
    one.set_defaults(run=contradictions)
    one = commands.add_parser("thresholds", help="what the thresholds separate, measured")
    one.add_argument("--index", type=Path)
    one.set_defaults(run=thresholds)
    return top


def main(arguments: list[str] | None = None) -> int:
    """
    Run one command.

    Args:
        arguments: As typed after `python -m kb`; the process's own when None.

    Returns:
        0 for success, 1 for a failure that stderr explains in one line; argparse exits with 2 for wrong usage.
    """
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone (`| head`); say nothing more
        return 0
    except (Failure, KnowledgeError, OSError) as error:
        print(f"kb: {' / '.join(str(error).splitlines())}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
