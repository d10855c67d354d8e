"""What the running services of this user and this project report of their telemetry: each exporter answers for one."""

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
"""The place of this code: services of other checkouts have another."""

# An exporter answers between two reads of the rings, which take long on a host without a free CPU.
_ANSWER_SECONDS = 10.0
_ASKED_AT_ONCE = 16


def running_services(run: int | None = None) -> list[dict[str, Any]]:
    """Return what is known of each running service without its exporter: `run`, `service`, `mode`, `version`, ...

    With `run`, of that service alone whose server is this process.
    """
    return list(_running(run))


def _running(run: int | None) -> Iterator[dict[str, Any]]:
    for path in directory.run_directories():
        try:
            service = directory.read_service(path)
            if service["project"] != PROJECT or not directory.is_alive(path):
                continue
        except (OSError, ValueError, KeyError):
            continue
        known = {"run": int(service["run"].partition("-")[0]), "service": service["service"], "mode": service["mode"]}
        known |= {"version": service["version"], "address": service["address"], "directory": str(path)}
        if run in {None, known["run"]}:
            yield known


def is_delivering(run: int) -> bool:
    """Return whether an exporter is at work for processes that `run` started, which are no server's, or were.

    It outlives them: it is asked to look whether it is still needed, and ends when it has delivered.
    """
    for path in directory.run_directories():
        with suppress(OSError, ValueError, KeyError):
            service = directory.read_service(path)
            ours = service["project"] == PROJECT and int(service["run"].partition("-")[0]) == run
            if ours and is_held(directory.lock_of_exporter(path)):
                ask_to_look(path)
                return True
    return False


def ask_status(service: dict[str, Any], timeout: float = _ANSWER_SECONDS) -> dict[str, Any]:
    """Return one of `running_services` with its exporter's answer, or `error` if there is none within `timeout`."""
    try:
        answer: dict[str, Any] = json.loads(ask(Path(service["directory"]), {"ask": "status"}, timeout)[1])
    except (NoAnswerError, ValueError) as error:
        return service | {"error": str(error)}
    return service | answer


def read_statuses(timeout: float = _ANSWER_SECONDS, run: int | None = None) -> list[dict[str, Any]]:
    """Return the answer of each running service, all asked at once, with `error` where there is none in time.

    With `run`, of that service alone whose server is this process; no other is asked.
    """
    services = running_services(run)
    if len(services) == 1:
        return [ask_status(services[0], timeout)]
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        return list(pool.map(partial(ask_status, timeout=timeout), services))
