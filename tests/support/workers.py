"""How many tests run at once with `--numprocesses auto`, and in which order. A pytest plugin named in the options.

Most of them wait for processes of their own for longer than they compute, so that there may be more of them than cores.
"""

import gc
import os
from collections import deque
from collections.abc import Generator
from itertools import chain, groupby

import pytest

_PER_CORE = 4
_MOST = 16
# Folders of tests that run whole services.
_LONG = {"audit", "chaos", "commands", "compare", "demo", "doctor", "failures", "lifecycle", "signals", "use_it"}


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Return the number of workers, None to leave it to xdist."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_PER_CORE * cores, _MOST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin each process's share with long tests, as `--dist worksteal` shares out the last ones of a process."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes == 1:
        return
    long = [list(module) for path, module in groupby(items, lambda item: item.path) if path.parent.name in _LONG]
    short = deque(item for item in items if item.path.parent.name not in _LONG)
    ordered: list[pytest.Item] = []
    for process in range(processes):
        share = list(chain.from_iterable(long[process::processes]))
        size = (len(items) - len(ordered)) // (processes - process)
        ordered += share + [short.popleft() for _ in range(min(len(short), size - len(share)))]
    items[:] = [*ordered, *short]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without looking for garbage, then or later: what is collected stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
