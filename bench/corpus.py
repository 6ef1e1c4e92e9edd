"""The official archives or an unpacked copy in, raw pages by page id out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ingest.convert import decode
from ingest.fetch import files, find_sources

ROOT = Path(__file__).resolve().parent.parent


def places() -> list[Path]:
    """Where the corpus is: `KB_CORPUS`, else the archives in ../shared/corpus; empty when it is nowhere."""
    if os.environ.get("KB_CORPUS"):
        return [Path(os.environ["KB_CORPUS"])]
    return sorted((ROOT.parent / "shared" / "corpus").glob("*.tar.xz"))


def pages(wanted: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Page id and Markdown of every wanted page."""
    for place in places():
        for source in find_sources(str(place)):
            for file in files(source):
                if wanted(file.page) and not file.problem:
                    yield file.page, decode(file.read())
