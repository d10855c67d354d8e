"""Starts an exporter as a separate process, from a recording process or from a server at its end."""

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
"""An exporter's standard output and standard error, as `subprocess` takes them."""

OURS: Output = None, None
"""Those of this process, a server, whose log the exporter shares."""


def output_of_command(*, prints: bool) -> Output:
    """Return the output of a command's exporter: not a pipe, whose reader would wait for the exporter's end.

    With `prints` it inherits standard output regardless, as requested. Otherwise it writes to standard error only:
    standard output belongs to the command.
    """
    error = subprocess.DEVNULL if _is_pipe_or_closed(_STDERR) else _STDERR
    return None if prints else error, error


def _is_pipe_or_closed(descriptor: int) -> bool:
    try:
        return S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return True


def _python() -> str:
    """Return the path of this Python; in a server that embeds it, `sys.executable` may be the server's."""
    if Path(sys.executable or "").name.startswith("python"):
        return sys.executable
    names = f"python{sys.version_info.major}.{sys.version_info.minor}", "python3"
    installed = (str(path) for name in names if (path := Path(sys.prefix) / "bin" / name).exists())
    return next(installed, sys.executable)


def start_exporter(
    path: Path, *, succeed: bool = False, output: Output = OURS, owner: tuple[int, int] | None = None
) -> "subprocess.Popen[bytes]":
    """Start an exporter for the run at `path`; the returned process ends once the exporter has detached itself.

    With `succeed`, it waits for an exporter that is about to end. `owner` is the user and group of the run, if this
    process is root and they are not. Raises OSError if no process can be started.
    """
    paths = [str(_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    user, group = owner or (None, None)
    stdout, stderr = output
    # Signals to the service may also reach its children; the exporter ignores them as soon as it runs.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
    try:
        return subprocess.Popen(  # noqa: S603  (this Python, this package)
            [_python(), "-m", "telemetry.exporting", str(path), *(["succeed"] if succeed else [])],
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
