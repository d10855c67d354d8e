"""What the running services of this user and this project report of their telemetry: each exporter answers for one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from telemetry.journal import directory
from telemetry.journal.asking import NoAnswerError, ask

PROJECT = str(Path(__file__).resolve().parent)
"""The place of this code, which tells the services of several checkouts apart."""

_ANSWER_SECONDS = 2.0


def read_statuses(timeout: float = _ANSWER_SECONDS, run: int | None = None) -> list[dict[str, Any]]:
    """Return the answer of each running service, with `error` where there is none within `timeout` seconds.

    With `run`, of that service alone whose server is this process; no other is asked.
    """
    return list(_statuses(timeout, run))


def _statuses(timeout: float, run: int | None) -> Iterator[dict[str, Any]]:
    for path in directory.run_directories():
        try:
            service = directory.read_service(path)
            if service["project"] != PROJECT or not directory.is_alive(path):
                continue
        except (OSError, ValueError, KeyError):
            continue
        known = {"run": int(service["run"].partition("-")[0]), "service": service["service"], "mode": service["mode"]}
        if run not in {None, known["run"]}:
            continue
        known |= {"version": service["version"], "address": service["address"], "directory": str(path)}
        try:
            yield known | json.loads(ask(path, {"ask": "status"}, timeout)[1])
        except (NoAnswerError, ValueError) as error:
            yield known | {"error": str(error)}
