"""Termination signals such as Ctrl-C: the first stops the demo gracefully, the second at once."""

import signal
import threading
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Handles the signals within its block, except a SIGHUP that is ignored (`nohup`)."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._signals = 0
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @property
    def asked(self) -> bool:
        """Whether the demo must stop."""
        return self._asked.is_set()

    @property
    def hurried(self) -> bool:
        """Whether it must stop without waiting for anything."""
        return self._signals > 1

    def wait(self, seconds: float) -> bool:
        """Wait until the demo must stop, for at most `seconds`; return whether it must."""
        return self._asked.wait(seconds)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        # Event.set() takes a lock that the interrupted thread may hold.
        threading.Thread(target=self._asked.set).start()
