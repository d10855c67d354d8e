"""Whether a text is a constant of the code: at the strict level, only such messages and names are exported.

A template such as "user %s" is a constant of the module that logs it; the result of an f-string with data is not.
"""

import re
import sys
from functools import lru_cache
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, FrameType
from typing import Any
from zipimport import zipimporter

_FROZEN = re.compile(r"<frozen ([\w.]{1,255})>", re.ASCII)
_MOST_FRAMES = 64
_MOST_TEXTS = 4096


class Constants:
    """Looks for texts among the constants of loaded modules, and caches those found."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()
        self._found: set[str] = set()

    def on_the_stack(self, text: str, frame: FrameType | None) -> bool:
        """Return whether `text` is a constant of a module on the call stack: that of `frame` or of its callers."""
        if text in self._found:
            return True
        for _ in range(_MOST_FRAMES):
            if frame is None:
                return False
            if (is_of_module(frame) and text in frame.f_code.co_consts) or text in constants_of(_module_of(frame)):
                _remember(self._found, text)
                return True
            frame = frame.f_back
        return False

    def in_module(self, text: str, module: str) -> bool:
        """Return whether `text` is a constant of the code of `module`."""
        if (module, text) in self._known:
            return True
        known = text in constants_of(module)
        if known:
            _remember(self._known, (module, text))
        return known


def is_module(name: str) -> bool:
    """Return whether `name` is a module that this process has loaded."""
    return name in sys.modules


def is_of_module(frame: FrameType) -> bool:
    """Return whether the code in `frame` is that of a module's file: code made from a text may have any file name."""
    file, values = frame.f_code.co_filename, frame.f_globals
    frozen = _FROZEN.fullmatch(file)
    module = sys.modules.get(frozen[1] if frozen else _module_of(frame))
    is_module = getattr(module, "__dict__", None) is values or _is_imported(values.get("__spec__"), file)
    return is_module and (frozen is not None or file == values.get("__file__"))


def _is_imported(spec: Any, file: str) -> bool:
    """Return whether Python's import made a module from `file`, even if it failed or `sys.modules` does not know it."""
    is_of_file = isinstance(spec, ModuleSpec) and spec.origin == file
    return is_of_file and isinstance(spec.loader, SourceFileLoader | zipimporter)


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


@lru_cache(maxsize=1024)
def constants_of(module: str) -> frozenset[str]:
    """Return all texts in the code of `module`, the empty set if its code is not available."""
    loaded = sys.modules.get(module)
    spec = getattr(loaded, "__spec__", None)
    if spec is None:
        return frozenset()
    loader = spec.loader if isinstance(spec.loader, InspectLoader) else SourceFileLoader(spec.name, spec.origin or "")
    try:
        code = loader.get_code(spec.name)
    except Exception:  # noqa: BLE001  (a loader may raise anything; then no text of the module is known)
        return frozenset()
    return frozenset(_texts(code)) if code else frozenset()


def _texts(code: CodeType) -> set[str]:
    texts: set[str] = set()
    todo: list[object] = [code]
    while todo:
        constant = todo.pop()
        if isinstance(constant, CodeType):
            todo += constant.co_consts
        elif isinstance(constant, tuple | frozenset):
            todo += constant
        elif isinstance(constant, str):
            texts.add(constant)
    return texts


def _remember(known: set, new: object) -> None:  # type: ignore[type-arg]
    if len(known) >= _MOST_TEXTS:
        known.clear()
    known.add(new)
