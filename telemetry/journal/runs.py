"""The name of a run: the server whose processes record together, and not a later one with the same process id."""

from pathlib import Path

# Of proc_pid_stat(5), counted from the field behind the program's name; a zombie and a dead process have ended.
_STATE, _STARTED, _ENDED = 0, 19, "ZX"


def run_of(server: int) -> str:
    """Return the name of the run of the processes that `server` starts; a reused id has another start time."""
    status = _status_of(server)
    return f"{server}-{status[_STARTED]}" if status else str(server)


def is_running(run: str) -> bool:
    """Return whether the server of a run that `run_of` named lives, False where the system does not say."""
    server, _, started = run.partition("-")
    status = _status_of(server)
    return bool(status) and status[_STARTED] == started and status[_STATE] not in _ENDED


def _status_of(process: int | str) -> list[str]:
    """Return the fields of proc_pid_stat(5) behind the program's name; none where there is no such process or file."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
