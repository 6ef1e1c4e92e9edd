"""The stock chain as its documentation has it: raw pages, RecursiveCharacterTextSplitter, HuggingFaceEmbeddings, Chroma; nothing of ours."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main(source: str, target: str) -> None:
    """Ingest every Markdown file below *source* into a Chroma folder; one line of JSON with time and memory."""
    start = time.monotonic()
    from langchain_chroma import Chroma
    from langchain_core.documents import Document
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    from kb.embedding import packaged_folder

    files = sorted(Path(source).rglob("*.md"))
    documents = [Document(path.read_text(encoding="utf-8", errors="replace"), metadata={"source": path.relative_to(source).as_posix()}) for path in files]
    chunks = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200).split_documents(documents)
    Chroma.from_documents(chunks, HuggingFaceEmbeddings(model_name=str(packaged_folder())), persist_directory=target)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(time.monotonic() - start, 1), "chunks": len(chunks), "pages": len(files), "peak_mb": round(peak)}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
