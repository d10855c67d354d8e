"""What the doctor prints: one line per hop, and on a terminal the hop being checked."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from threading import Event, Thread
from time import monotonic
from typing import TextIO

from telemetry.tools.doctor.walk import Result, State

_MARKS = {State.OK: "ok", State.WARNING: "warning", State.FAILED: "FAILED", State.NOT_CHECKED: "not checked"}
_COLOURS = {State.OK: "32", State.WARNING: "33", State.FAILED: "1;31", State.NOT_CHECKED: "2"}
_TICK_SECONDS = 0.25
_LABEL_WIDTH = 34
_FRAMES = "|/-\\"


class Screen:
    """Writes results to `out` (none with `out=None`), and progress to `progress` if that is a terminal."""

    def __init__(self, out: TextIO | None, progress: TextIO = sys.stderr) -> None:
        self._out = out
        self._progress = progress if progress.isatty() and os.environ.get("TERM") != "dumb" else None
        self._coloured = bool(out and out.isatty() and os.environ.get("TERM") != "dumb") and not os.environ.get(
            "NO_COLOR"
        )
        self._ticker: _Ticker | None = None

    def begin(self, label: str) -> None:
        """Show that a hop is being checked."""
        if self._progress:
            self._ticker = _Ticker(self._progress, label)

    def result(self, result: Result) -> None:
        """Print a hop, and its remedy below."""
        self.close()
        took = f"{result.seconds:6.2f} s" if result.seconds else " " * 8
        self._line(f"{self._mark(result.state)} {result.label:{_LABEL_WIDTH}} {took}  {result.detail}")
        if result.remedy:
            self._line(f"{'':11} {'':{_LABEL_WIDTH}} {'':8}  -> {result.remedy}")

    def summary(self, results: Sequence[Result], trace_id: str) -> None:
        """Print where the request stops, or that it does not."""
        counts = Counter(result.state for result in results)
        summary = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
        first = next((result for result in results if result.state is State.FAILED), None)
        self._line("")
        self._line(f"It stops at: {first.label}" if first else "Every checked hop passed.")
        self._line(summary + (f"; trace {trace_id}" if trace_id else ""))

    def close(self) -> None:
        """Remove the progress line."""
        if self._ticker:
            self._ticker.stop()
            self._ticker = None

    def _mark(self, state: State) -> str:
        mark = f"{_MARKS[state]:11}"
        return f"\x1b[{_COLOURS[state]}m{mark}\x1b[0m" if self._coloured else mark

    def _line(self, text: str) -> None:
        if self._out:
            self._out.write(f"{text.rstrip()}\n")
            self._out.flush()


class _Ticker:
    """Redraws one line with the seconds that have passed."""

    def __init__(self, out: TextIO, label: str) -> None:
        self._out = out
        self._label = label
        self._over = Event()
        self._started = monotonic()
        self._thread = Thread(target=self._run, name="doctor-progress", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        frame = 0
        while not self._over.wait(_TICK_SECONDS):
            frame += 1
            seconds = monotonic() - self._started
            self._out.write(f"\r\x1b[2K{_FRAMES[frame % len(_FRAMES)]} {self._label}: {seconds:.0f} s")
            self._out.flush()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._out.write("\r\x1b[2K")
        self._out.flush()
