"""The status of telemetry of this user's running services of this project, from the exporter of each."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from telemetry.journal import directory
from telemetry.journal.asking import NoAnswerError, ask, ask_to_look
from telemetry.journal.locks import is_held

PROJECT = str(Path(__file__).resolve().parent)
"""The path of this code, which distinguishes services of other checkouts."""

# An exporter answers between two reads of the rings, which are slow on a host without a free CPU.
_ANSWER_SECONDS = 10.0
_ASKED_AT_ONCE = 16


def running_services(run: int | None = None) -> list[dict[str, Any]]:
    """Return each running service without asking its exporter: `run`, `service`, `mode`, `version`, ...

    With `run`, only the service whose server has this process id.
    """
    return list(_running(run))


def _running(run: int | None) -> Iterator[dict[str, Any]]:
    for path, server, service in _of_project(run):
        with suppress(OSError, KeyError):
            if directory.is_alive(path):
                known = {name: service[name] for name in ("service", "mode", "version", "address")}
                yield {"run": server, **known, "directory": str(path)}


def _of_project(run: int | None) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    """Yield the directory of each run, the process id of its present or former server, and its description."""
    for path in directory.run_directories():
        try:
            service = directory.read_service(path)
            is_ours, server = service["project"] == PROJECT, int(service["run"].partition("-")[0])
        except (OSError, ValueError, KeyError):
            continue
        if is_ours and run in {None, server}:
            yield path, server, service


def is_delivering(run: int) -> bool:
    """Return whether an exporter works for processes, running or ended, that the process `run` started.

    It outlives them, so it is asked to check whether it is still needed; it ends when it has delivered.
    """
    for path, _, _ in _of_project(run):
        with suppress(OSError):
            if is_held(directory.lock_of_exporter(path)):
                ask_to_look(path)
                return True
    return False


def ask_status(service: dict[str, Any], timeout: float = _ANSWER_SECONDS) -> dict[str, Any]:
    """Return `service`, of `running_services`, with its exporter's answer, or with `error` if none within `timeout`."""
    try:
        answer: dict[str, Any] = json.loads(ask(Path(service["directory"]), {"ask": "status"}, timeout)[1])
    except (NoAnswerError, ValueError) as error:
        return service | {"error": str(error)}
    return service | answer


def read_statuses(timeout: float = _ANSWER_SECONDS, run: int | None = None) -> list[dict[str, Any]]:
    """Return the answer of each running service, all asked in parallel, with `error` if there is none in time.

    With `run`, ask only the service whose server has this process id.
    """
    services = running_services(run)
    if len(services) == 1:
        return [ask_status(services[0], timeout)]
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        return list(pool.map(partial(ask_status, timeout=timeout), services))
