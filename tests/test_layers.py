"""Imports go in one direction: a verdict cannot depend on what was retrieved, and no room knows the rooms after it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY = {  # module or package: what it may import of the project, beside itself
    "kb.terms": set(),
    "kb.ddis": {"kb.terms"},
    "kb.rulebook": {"kb.terms"},
    "kb.thresholds": set(),
    "kb.case": {"kb.terms"},
    "kb.judge": {"kb.terms", "kb.case", "kb.ddis", "kb.rulebook", "kb.engine"},
    "kb.question": {"kb.terms", "kb.ddis", "kb.thresholds"},
    "kb.engine": {"kb.terms", "kb.rulebook", "kb.ddis"},
    "kb.embedding": set(),
    "kb.index": {"kb.embedding"},
    "kb.snippet": {"kb.terms", "kb.rulebook", "kb.ddis", "kb.engine"},
    "kb.retriever": {"kb.terms", "kb.ddis", "kb.engine", "kb.index", "kb.embedding"},
    "kb.answer": {"kb.thresholds", "kb.terms", "kb.ddis", "kb.rulebook", "kb.engine", "kb.question", "kb.snippet", "kb.retriever", "kb.index"},
    "kb.wording": {"kb.terms", "kb.engine", "kb.question", "kb.answer"},
    "kb.measure": {"kb.thresholds", "kb.chain", "kb.answer"},
    "kb.chain": {"kb.wording", "kb.terms", "kb.ddis", "kb.rulebook", "kb.engine", "kb.question", "kb.snippet", "kb.retriever", "kb.index", "kb.answer"},
    "kb.reference": {"kb.terms", "kb.ddis", "kb.rulebook", "kb.engine", "kb.answer", "kb.question", "kb.chain"},
    "kb.doctor": {"kb.terms", "kb.ddis", "kb.rulebook", "kb.engine", "kb.index", "kb.embedding"},
    "kb.prove": {"kb.terms", "kb.ddis", "kb.rulebook", "kb.engine"},
    "ingest": {"kb.terms", "kb.ddis", "kb.rulebook", "kb.index", "kb.embedding"},
}
ONLY_IN = {  # a heavy library has one room
    "chromadb": {"kb.index"},
    "langchain_chroma": {"kb.index"},
    "sentence_transformers": {"kb.embedding", "kb.index"},
    "onnxruntime": {"kb.embedding", "kb.index"},
    "torch": {"kb.embedding", "kb.index"},
    "bm25s": {"kb.index"},
    "gradio": {"app", "web"},
    "pydantic": {"kb.rulebook", "kb.case"},
    "jsonpatch": {"kb.case"},
    "jsonpointer": {"kb.case"},
    "rapidfuzz": {"kb.ddis", "kb.question", "kb.answer"},
    "langchain": {"kb.wording"},
    "langchain_core": {"kb.chain", "kb.index", "kb.embedding", "kb.retriever", "ingest"},
    "langchain_text_splitters": {"ingest"},
}
FILES = sorted([*ROOT.glob("kb/**/*.py"), *ROOT.glob("ingest/**/*.py"), *ROOT.glob("web/**/*.py"), *ROOT.glob("app.py")])


def room(module: str) -> str:
    """The room of a module: `kb.answer.cites` is in `kb.answer`, `ingest.pages` in `ingest`."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "kb" else parts[0]


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module that a file imports, also inside its functions, but not only for type checkers."""
    return tuple(found_in(path))


def found_in(path: Path) -> Iterator[str]:
    """The work of `imports`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {inner for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "kb" else [str(node.module)]
            yield from names


def name_of(path: Path) -> str:
    """Dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports(path: Path) -> None:
    own = room(name_of(path))
    faults = []
    for module in imports(path):
        other = room(module)
        if own in MAY and other.split(".")[0] in ("kb", "ingest", "app", "web", "tests", "bench") and other not in MAY[own] | {own}:
            faults.append(f"{name_of(path)} imports {module}, which is downstream of it")
        top = module.split(".")[0]
        if top in ONLY_IN and own not in ONLY_IN[top]:
            faults.append(f"{name_of(path)} imports {top}, whose room is {' or '.join(sorted(ONLY_IN[top]))}")
    assert faults == []


def test_every_room_is_known() -> None:
    rooms = {room(name_of(path)) for path in FILES} - {"app", "web", "kb", "kb.__main__"}
    assert rooms <= set(MAY), f"{sorted(rooms - set(MAY))}: say in tests/test_layers.py what it may import"


def test_question_and_engine_never_meet_the_index() -> None:
    for path in FILES:
        if room(name_of(path)) in ("kb.question", "kb.engine"):
            assert not [module for module in imports(path) if room(module) in ("kb.index", "kb.retriever", "kb.embedding")], path.name


def test_no_imports_go_in_a_circle() -> None:
    """Within a room too, and also among imports that only type checkers follow."""
    files = {name_of(path): path for path in FILES}
    graph = {}
    for name, path in files.items():
        nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
        wanted = {(f"{node.module}.{alias.name}", str(node.module)) for node in nodes for alias in node.names}
        graph[name] = {inner if inner in files else outer for inner, outer in wanted} & files.keys()
    left = dict(graph)
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    assert not left, f"{sorted(left)}: these import each other; move what they share to a module of its own"
