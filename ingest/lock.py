"""One writer at a time: a lock that the system frees when its holder dies, and a note of who holds it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kb.index import LOCK, OWNER
from kb.index.check import owner


class LockedError(RuntimeError):
    """Another process is writing the index; the message says which."""


@contextmanager
def write_lock(folder: Path) -> Iterator[bool]:
    """
    Hold the index for writing.

    Args:
        folder: The index folder; made when it is missing.

    Yields:
        Whether a note was left by a holder that died: its half-built generation must be cleared.

    Raises:
        LockedError: Another process holds it.
        OSError: The folder cannot be written.
    """
    import filelock

    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise LockedError(f"{folder} is being written by another ingest ({owner(folder) or 'unknown process'}). Wait until it ends, or end it") from error
    try:
        left = (folder / OWNER).exists()
        (folder / OWNER).write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}), encoding="utf-8")
        yield left
        (folder / OWNER).unlink(missing_ok=True)
    except BaseException:
        try:
            (folder / OWNER).unlink(missing_ok=True)
        except OSError:
            pass
        raise
    finally:
        lock.release()
