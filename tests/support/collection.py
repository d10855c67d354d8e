"""Collects the tests without a search for garbage. A pytest plugin named in the options.

What is imported and collected stays until the end: each search would look through all of it, here and in each test.
"""

import gc
from collections.abc import Generator

import pytest

gc.disable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Set apart what is there when all tests are known, and collect garbage from then on."""
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
