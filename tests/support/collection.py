"""Collects the tests quickly. A pytest plugin named in the options.

Without a search for garbage: what is imported and collected stays until the end, and each search would look through all
of it, here and in each test. And each of xdist's processes first imports a share of the modules: otherwise, in a fresh
checkout, each of them would rewrite the assertions of all, at the same time as the others.
"""

import gc
import os
import warnings
from collections.abc import Generator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

_WORKER = "PYTEST_XDIST_WORKER"

gc.disable()


def _import_a_share(root: Path, arguments: list[str]) -> None:
    number, count = (int(os.environ[name].removeprefix("gw")) for name in (_WORKER, f"{_WORKER}_COUNT"))
    modules = sorted(path for argument in arguments for path in (root / argument).rglob("test_*.py"))
    for path in modules[number::count]:
        with suppress(Exception), warnings.catch_warnings():  # the collection reports it
            warnings.simplefilter("error")
            import_module(".".join(path.relative_to(root).with_suffix("").parts))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Set apart what is there when all tests are known, and collect garbage from then on."""
    if _WORKER in os.environ:
        _import_a_share(session.config.rootpath, session.config.args)
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
