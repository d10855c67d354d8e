"""The start of an exporter as a process of its own, by a process that records or by a server at its end."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from stat import S_ISFIFO

from telemetry.journal.signals import IGNORED

_PACKAGE = Path(__file__).resolve().parents[2]
_STDOUT, _STDERR = 1, 2

Output = tuple[int | None, int | None]
"""Where standard output and standard error of an exporter go, as `subprocess` has it."""

OURS: Output = None, None
"""Where this process's go: that of a server, whose log is the exporter's as well."""


def output_of_command(*, prints: bool) -> Output:
    """Return where the exporter of a command may write: not into a pipe, whose reader would wait for its end.

    With `prints` the exporter has standard output nevertheless, as that is what it was asked for. Otherwise its log
    goes to standard error alone: standard output is the command's.
    """
    error = subprocess.DEVNULL if _is_pipe_or_closed(_STDERR) else _STDERR
    return None if prints else error, error


def _is_pipe_or_closed(descriptor: int) -> bool:
    try:
        return S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return True


def start_exporter(
    path: Path, *, succeed: bool = False, output: Output = OURS, owner: tuple[int, int] | None = None
) -> "subprocess.Popen[bytes]":
    """Start an exporter for the run at `path`; what is returned ends as soon as that has detached itself.

    With `succeed` there is one that is about to end, for which it waits. `owner` is the user and group of the run where
    this process is root and they are not. Raises OSError where no process can be started.
    """
    paths = [str(_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    user, group = owner or (None, None)
    stdout, stderr = output
    # What stops the service stops its children, too; the exporter ignores it as soon as it runs.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
    try:
        return subprocess.Popen(  # noqa: S603  (this Python, this package)
            [sys.executable, "-m", "telemetry.exporting", str(path), *(["succeed"] if succeed else [])],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=None if group is None else [group],
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
