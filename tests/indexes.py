"""Small indexes for the slow tests: our own pages in the layout of the official repositories, built once a run."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from ingest.fetch import find_sources
from ingest.publish import Summary, refresh

DOCS = "windows-driver-docs-pr"
DDIS = "wdk-ddi-src/content"


def page(title: str, text: str, more: str = "") -> str:
    """A documentation page of ours."""
    return f"---\ntitle: {title}\ndescription: About {title}.\n---\n\n# {title}\n\n{text}\n\n## Remarks\n\n{more or 'Nothing more is to be said of ' + title}.\n"


def ddi(name: str, header: str, irql: str, remarks: str) -> str:
    """A DDI page of ours."""
    return f"---\nUID: NF:{header}.{name}\ntitle: {name} function ({header}.h)\ndescription: The {name} routine of {header}.\nreq.header: {header}.h\nreq.irql: {irql}\napi_name:\n - {name}\n---\n\n## -description\n\nThe {name} routine.\n\n## -parameters\n\n### -param Wait [in]\n\nWhether to wait for {name}.\n\n## -remarks\n\n{remarks}\n"


def write_repository(folder: Path, count: int = 12) -> Path:
    """A folder with the layout of both repositories."""
    docs, content = folder / DOCS / "kernel", folder / DDIS
    docs.mkdir(parents=True)
    for number in range(count):
        (docs / f"topic-{number}.md").write_text(page(f"Topic {number}", f"The subject number {number} is the widget{number} of drivers, kept apart."), encoding="utf-8")
    (docs / "zebras.md").write_text(
        page("Counting zebras", "A zebra counter runs at DISPATCH_LEVEL and never sleeps.", "A *zebra* may not be counted in paged pool"), encoding="utf-8"
    )
    for header in ("wdm", "ntddk"):
        (content / header).mkdir(parents=True)
        (content / header / f"nf-{header}-zebracount.md").write_text(
            ddi("ZebraCount", header, "<= APC_LEVEL", "Callers must run at IRQL <= APC_LEVEL, striped or not."), encoding="utf-8"
        )
    (content / "wdm" / "nf-wdm-zebrafree.md").write_text(ddi("ZebraFree", "wdm", "See Remarks section.", "Frees a zebra."), encoding="utf-8")
    return folder


@functools.cache
def template() -> tuple[Path, Path, Summary]:
    """A repository and an index of it, made once; copy before changing."""
    home = Path(tempfile.mkdtemp(prefix="poolwise-test-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    repository = write_repository(home / "repository")
    summary = refresh(home / "index", find_sources(str(repository)), builtin=False)
    return repository, home / "index", summary


def copy(to: Path) -> tuple[Path, Path]:
    """A repository and an index of it that a test may change."""
    repository, index, _ = template()
    shutil.copytree(repository, to / "repository")
    shutil.copytree(index, to / "index")
    refresh(to / "index", find_sources(str(to / "repository")), builtin=False)
    return to / "repository", to / "index"
