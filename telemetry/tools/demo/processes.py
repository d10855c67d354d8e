"""The processes of a demo or a comparison: started with a log file each, watched, stopped, and never left behind."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from telemetry.tools.demo.environment import ROOT

_POLL = 0.05
_LAST_LINES = 12
_LINE_LENGTH = 400


class ChildEndedError(Exception):
    """A process ended without being stopped; `log` holds its last lines."""

    def __init__(self, child: "Child", code: int) -> None:
        super().__init__(f"{child.name} ended by itself with {_described(code)}; its log is {child.log}")
        self.child = child
        self.log = child.last_lines()


# The command waits for permission to start: if the demo is killed before that, no process escapes the guard.
_WHEN_LET = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh")


class Child:
    """One process, the leader of its own session: a Ctrl-C at the terminal does not reach it.

    It waits for `begin`, and ends without it.
    """

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path, folder: Path = ROOT
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as opened:
            self._process = subprocess.Popen(  # noqa: S603  (the demo's own commands)
                [*_WHEN_LET, *command],
                cwd=folder,
                env=env,
                stdin=subprocess.PIPE,
                stdout=opened,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.cpu_seconds = 0.0
        """CPU time of its whole life and of those that it waited for, in seconds; 0 until it has ended by itself."""

    def begin(self) -> None:
        """Run the command."""
        assert self._process.stdin is not None  # noqa: S101  (a pipe was asked for)
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(b"\n")

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        if self._process.returncode is None:
            # Not `poll`, which discards the process's resource usage.
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return self._process.returncode

    def check(self) -> None:
        """Raise ChildEndedError unless it is running."""
        code = self.code
        if code is not None:
            raise ChildEndedError(self, code)

    def stop(self) -> None:
        """Ask it to stop; returns at once."""
        if self.code is None:
            self._process.terminate()

    def wait(self, timeout: float, hurry: Callable[[], bool]) -> str | None:
        """Wait until it has ended; kill it after `timeout` seconds or on hurry.

        Returns None after a graceful end, otherwise a description of what happened.
        """
        deadline = monotonic() + timeout
        while self.code is None:
            if hurry() or monotonic() > deadline:
                self.kill()
                return f"{self.name} was killed before it had stopped"
            sleep(_POLL)
        return None if self.code == 0 else f"{self.name} stopped with {_described(self.code)}"

    def kill(self) -> None:
        """Kill it and all its children at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def last_lines(self) -> list[str]:
        """Return the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line[:_LINE_LENGTH] for line in lines[-_LAST_LINES:]]


class Processes:
    """All processes that the demo has started. None outlives the block, even after `kill -9` of the demo."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "telemetry.tools.demo.guard"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self._children):
            child.kill()
            self._inform_guard(f"-{child.pid}")
        assert self._guard.stdin is not None  # noqa: S101  (a pipe was asked for)
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.close()
        self._guard.wait()

    def start(
        self, name: str, log: str, arguments: Sequence[str], env: Mapping[str, str], folder: Path = ROOT
    ) -> Child:
        """Run Python with `arguments` in `folder`, and with `env` added to this process's environment.

        `log` is a file's name.
        """
        return self.execute(name, log, [sys.executable, *arguments], env, folder)

    def execute(
        self, name: str, log: str, command: Sequence[str], env: Mapping[str, str], folder: Path = ROOT
    ) -> Child:
        """Run `command`, otherwise like `start`."""
        child = Child(name, command, os.environ | env, self._folder / log, folder)
        self._children.append(child)
        self._inform_guard(f"+{child.pid}")
        child.begin()
        return child

    def forget(self, child: Child) -> None:
        """Drop a child that has ended, so that a long run does not accumulate them."""
        self._children.remove(child)
        self._inform_guard(f"-{child.pid}")

    def check(self) -> None:
        """Raise ChildEndedError for the first process that is not running."""
        for child in self._children:
            child.check()

    def _inform_guard(self, line: str) -> None:
        assert self._guard.stdin is not None  # noqa: S101  (a pipe was asked for)
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.write(f"{line}\n")
            self._guard.stdin.flush()


def _described(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
