"""How many tests run at once with `--numprocesses auto`. A pytest plugin named in the options.

Most of them wait for processes of their own for longer than they compute, so that there may be more of them than cores.
"""

import os

import pytest

_PER_CORE = 4
_MOST = 16


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Return the number of workers, None to leave it to xdist."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_PER_CORE * cores, _MOST)
