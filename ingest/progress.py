"""What ingest does, told as it happens: bars in a terminal, lines of JSON, or a callback for the browser."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

Report = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and the total (0: unknown)."""


class Progress:
    """The stages of one ingest and their times."""

    def __init__(self, mode: str = "bar", report: Report | None = None) -> None:
        """
        Start telling.

        Args:
            mode: `bar`, `json` (a line an event on stdout), or `quiet`.
            report: Also told, at most about ten times a second.
        """
        self.seconds: dict[str, float] = {}
        self._mode, self._report = mode, report
        self._stage, self._total, self._done, self._started, self._told = "", 0, 0, 0.0, 0.0
        self._bar: Any = None
        self._lock = threading.Lock()  # two threads may work at one stage

    def start(self, stage: str, total: int = 0, unit: str = "") -> None:
        """Begin a stage; the one before it ends."""
        self.stop()
        self._stage, self._total, self._done, self._started, self._told = stage, total, 0, time.monotonic(), 0.0
        if self._mode == "bar":
            from tqdm import tqdm

            self._bar = tqdm(desc=f"{stage:<10}", total=total or None, unit=f" {unit}" if unit else "it", file=sys.stderr, mininterval=0.3, leave=True, smoothing=0.1)
        self._tell()

    def step(self, count: int = 1) -> None:
        """Some more is done."""
        with self._lock:
            self._done += count
            if self._bar is not None:
                self._bar.update(count)
        if time.monotonic() - self._told > (1.0 if self._mode == "json" else 0.1):
            self._tell()

    def stop(self) -> None:
        """End the stage."""
        if not self._stage:
            return
        self.seconds[self._stage] = round(self.seconds.get(self._stage, 0.0) + time.monotonic() - self._started, 2)
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._tell()
        self._stage = ""

    def note(self, text: str) -> None:
        """One line that is not progress."""
        if self._mode == "bar":
            from tqdm import tqdm

            tqdm.write(text, file=sys.stderr)
        elif self._mode == "json":
            self._line({"note": text})

    def _tell(self) -> None:
        self._told = time.monotonic()
        if self._mode == "json":
            self._line({"stage": self._stage, "done": self._done, "total": self._total, "seconds": round(self._told - self._started, 1)})
        if self._report:
            self._report(self._stage, self._done, self._total)

    @staticmethod
    def _line(event: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
