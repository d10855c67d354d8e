"""The name of a run: its server's process id and start time, as a later process may have the same id."""

import os
from pathlib import Path

# Fields of proc_pid_stat(5), counted from the one after the program's name; states Z (zombie) and X (dead) have ended.
_STATE, _STARTED, _ENDED = 0, 19, "ZX"

_own: dict[int, str] = {}
"""This process's run by its id, for its forked children: with `hidepid`, they cannot read it."""


def run_of(server: int) -> str:
    """Return the name of the run of the processes that `server` starts; a reused id has another start time."""
    status = _status_of(server)
    if not status:
        return _own.get(server, str(server))
    run = f"{server}-{status[_STARTED]}"
    if server == os.getpid():
        _own[server] = run
    return run


def is_running(run: str) -> bool:
    """Return whether the server of a run named by `run_of` is alive; False if the system does not provide this."""
    server, _, started = run.partition("-")
    status = _status_of(server)
    return bool(status) and status[_STARTED] == started and status[_STATE] not in _ENDED


def _status_of(process: int | str) -> list[str]:
    """Return the fields of proc_pid_stat(5) after the program's name; none if the process or file does not exist."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
