"""The progress display of a comparison: the current step, the steps left and the time left."""

from time import monotonic
from typing import TextIO

# Before that, the first steps say little about the rest.
_LEAST_SECONDS = 30.0


class Progress:
    """Reports each step on `stream`; on a terminal it rewrites one line.

    The time left is the estimate for the remaining steps, corrected by the actual duration of the completed ones.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._planned: list[tuple[str, float]] = []
        self._done = 0
        self._started = monotonic()

    def plan(self, steps: list[tuple[str, float]]) -> None:
        """Set the steps, each with its estimate in seconds."""
        self._planned = steps
        self._started = monotonic()

    @property
    def seconds_left(self) -> float:
        """The estimate for everything not yet done."""
        left = sum(seconds for _, seconds in self._planned[self._done :])
        past = sum(seconds for _, seconds in self._planned[: self._done])
        return left * ((monotonic() - self._started) / past if past > _LEAST_SECONDS else 1.0)

    def begin(self, name: str) -> None:
        """Report that a step begins."""
        left = self.seconds_left
        line = f"[{self._done + 1}/{len(self._planned)}] {name}; {left // 60:.0f} min {left % 60:02.0f} s left"
        self._write(f"\r\x1b[2K{line}" if self._terminal else f"{line}\n")

    def end(self) -> None:
        """Report that the step has ended."""
        self._done += 1

    def say(self, line: str) -> None:
        """Print a line that stays on the screen."""
        self._write(f"\r\x1b[2K{line}\n" if self._terminal else f"{line}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
