"""The marker `timing`: only what has it is run once more after a failure. A pytest plugin named in the options.

A second run hides races, which are what this project is about. So the marker is for tests that assert an upper bound of
wall-clock time, which a busy machine can break, and for nothing else.
"""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "timing: asserts an upper bound of wall-clock time; gets a second run, listed as RERUN"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timing"):
            item.add_marker(pytest.mark.flaky(reruns=1))
