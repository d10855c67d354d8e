"""The environment of the measurements: machine, load and versions; and how the cores are divided."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

_BUSY_SECONDS = 2.0
PUBLISH_BUSY = 0.05
PUBLISH_LOAD = 0.5
"""The limits on other processes during a published comparison: share of all cores, and load average over a minute."""
_PACKAGES = (
    "django",
    "djangorestframework",
    "gunicorn",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-django",
    "opentelemetry-exporter-otlp-proto-grpc",
    "psycopg",
    "locust",
    "rotel",
)


def facts() -> dict[str, Any]:
    """Return the facts needed to judge the figures; none of them identifies the machine or its user."""
    return {
        "cores": os.cpu_count() or 1,
        "usable_cores": len(usable_cores()),
        "cpu": cpu_model(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "load_average": load_average(),
        "busy": busy(),
    }


def busy(seconds: float = _BUSY_SECONDS) -> float:
    """Return the share of all cores in use, measured over `seconds`."""
    return float(psutil.cpu_percent(seconds)) / 100


def unfit_to_publish(busy_share: float, load: float) -> str:
    """Return why figures measured under such a load must not be published; empty if they may be."""
    if busy_share > PUBLISH_BUSY or load > PUBLISH_LOAD:
        return (
            f"other processes use {busy_share:.0%} of this machine and its load average is {load:g}; accepted for a "
            f"published comparison: at most {PUBLISH_BUSY:.0%} and {PUBLISH_LOAD:g}"
        )
    return ""


def load_average() -> list[float]:
    """Return the load averages over 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def cpu_model() -> str:
    """Return the processor's name."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> list[int]:
    """Return the cores that this process may use."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def divided_cores() -> tuple[list[int], list[int]] | None:
    """Return the cores for the service and those for everything else, so that neither disturbs the other.

    None if the system cannot pin a process to cores (macOS), or has only one.
    """
    cores = usable_cores()
    if sys.platform != "linux" or len(cores) < 2:  # noqa: PLR2004  (one for each side)
        return None
    half = len(cores) // 2
    return cores[:half], cores[half:]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
