"""The chat in the browser: python app.py [--host 127.0.0.1] [--port 7860] [--index FOLDER]."""

from __future__ import annotations

import argparse
import gc
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")


class StartError(RuntimeError):
    """The chat cannot start; the message says what, where and the cure."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Serve the chat until it is interrupted.

    Args:
        arguments: Without the program's name; `sys.argv` when None.

    Returns:
        0, or 1 for a failure that was explained in one line on stderr. Wrong usage exits with 2.
    """
    parser = argparse.ArgumentParser(prog="python app.py", description="Serves the chat; builds the default index first when there is none.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: 127.0.0.1, this machine only; there is no login)")
    parser.add_argument("--port", type=port_number, default=7860, help="the port (default: 7860; 0 takes a free one)")
    parser.add_argument("--index", type=Path, default=None, metavar="FOLDER", help="the index folder (default: KB_INDEX, else index/ in the repository)")
    chosen = parser.parse_args(arguments)
    from kb.terms import KnowledgeError

    try:
        with listen(chosen.host, chosen.port) as listening:
            serve(listening, chosen.host, chosen.index)
    except (StartError, KnowledgeError) as error:
        print(f"app: {' / '.join(str(error).splitlines())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
    return 0


def port_number(text: str) -> int:
    """A port from the command line."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is not a port; give 0 to 65535")
    return number


def listen(host: str, port: int) -> socket.socket:
    """
    Take the address at once, so that a port in use is told before anything is built.

    Raises:
        StartError: It cannot be taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        taken = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name != "nt":  # on Windows it would let two programs share the port
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind((host, port))
            taken.listen(128)  # a browser that is opened too early waits instead of failing
        except OSError:
            taken.close()
            raise
    except OSError as error:
        raise StartError(f"cannot listen at {host}:{port} ({error.strerror}). Choose another port: python app.py --port {port + 1 if port < 65535 else 7860}") from error
    return taken


def build_default_index(folder: Path) -> None:
    """
    Build the index of the built-in knowledge when the folder has none, or one of an older format with nothing else in it.

    Without an index the chat still answers from the rules, and says so.
    """
    from kb.index import FORMAT, GENERATIONS, read_pointer
    from kb.index.check import manifest_of

    current = read_pointer(folder)
    manifest = manifest_of(folder / GENERATIONS / current) if current else {}
    sources = manifest.get("sources")
    if current and (manifest.get("format") == FORMAT or not isinstance(sources, dict) or set(sources) != {"knowledge"}):
        return
    why = "is of an older version" if current else "is not there yet"
    print(f"The passage index at {folder} {why}; building it from the built-in knowledge (about half a minute) ...", flush=True)
    from ingest.__main__ import main as ingest

    if ingest(["--index", str(folder)]) != 0:
        print("The chat starts all the same and answers from the rules, without passages.", file=sys.stderr)


def serve(listening: socket.socket, host: str, index: Path | None = None) -> None:
    """Open the assistant, build the application and run it on the socket."""
    from kb.index import default_folder

    build_default_index(index or default_folder())
    gc.disable()  # loading makes many objects that all stay: looking for garbage among them is a third of the start
    from kb.chain import Assistant

    assistant = Assistant.open(index)
    import uvicorn

    from web.quick import import_gradio

    import_gradio()
    from web.server import build

    app = build(assistant, host)
    gc.freeze()
    gc.enable()
    shown = f"[{host}]" if ":" in host else host
    print(f"Poolwise answers at http://{shown}:{listening.getsockname()[1]}  (Ctrl+C stops it)", flush=True)
    assistant.warm()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3))
    server.run(sockets=[listening])


if __name__ == "__main__":
    sys.exit(main())
