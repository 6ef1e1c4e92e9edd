"""What all tests share: the fast ones run first, and none of them writes to the index or its log of gaps."""

from __future__ import annotations

import os

import pytest

os.environ["KB_LOG"] = "0"
os.environ.pop("KB_CHROMA_URL", None)  # tests that want a server start one of their own
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A mistake shows in seconds: slow tests come last, in the order they had."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --update-answers` writes the snapshots of tests/answers and the worked answer of the README anew; the diff is what is reviewed."""
    parser.addoption("--update-answers", action="store_true", help="write tests/answers/*.md and README.md's worked answer anew")
