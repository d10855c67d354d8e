"""The exporter's socket server, run by the loop between two reads of the rings."""

import json
import logging
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from telemetry.journal import asking
from telemetry.journal.directory import socket_of
from telemetry.journal.forks import close_in_children

logger = logging.getLogger(__name__)

_BACKLOG = 64
# A question is one line from a process of this service: one slower than this has stopped.
_QUESTION_SECONDS = 0.5
_ANSWER_SECONDS = 2.0


class Answering:
    """Answers questions to the exporter of the run at `path` until `close`."""

    def __init__(
        self,
        path: Path,
        metrics: Callable[[str], tuple[bytes, str] | None],
        status: Callable[[], dict[str, Any]],
        look: Callable[[], None],
    ) -> None:
        """`look` is called to check now whether the exporter is still needed."""
        self._look = look
        self._metrics = metrics
        self._status = status
        self._address = socket_of(path)
        with suppress(FileNotFoundError):
            self._address.unlink()  # a dead exporter's
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        close_in_children(self.socket)
        with asking.address_of(path) as address:
            self.socket.bind(address)
        self.socket.listen(_BACKLOG)
        self._inode = self._address.stat().st_ino
        self.socket.setblocking(False)

    def answer_within(self, seconds: float) -> None:
        """Wait for questions, and answer them; the first ends the wait."""
        waiting = select.poll()  # `select` takes no descriptor from 1024 on, as in a server with many connections
        waiting.register(self.socket, select.POLLIN)
        if waiting.poll(seconds * 1000):
            self.answer()

    def answer(self) -> None:
        """Answer all waiting connections."""
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            close_in_children(connection)  # so that the client notices if this process is killed
            with connection, suppress(OSError, ValueError):
                question = asking.read_question(connection, _QUESTION_SECONDS)
                connection.settimeout(_ANSWER_SECONDS)
                self._answer(connection, question)

    def _answer(self, connection: socket.socket, question: dict[str, Any]) -> None:
        try:
            answer: tuple[bytes, str] | None
            match question.get("ask"):
                case "metrics":
                    answer = self._metrics(str(question.get("accept", "")))
                case "look":
                    self._look()
                    answer = b"", "text/plain"
                case _:
                    answer = json.dumps(self._status()).encode(), "application/json"
        except Exception:
            logger.exception("a question cannot be answered")
            answer = None
        if answer is None:
            asking.answer(connection, b"", ok=False, type="")
        else:
            asking.answer(connection, answer[0], ok=True, type=answer[1])

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
        with suppress(OSError):
            if self._address.stat().st_ino == self._inode:  # else it is another exporter's
                self._address.unlink()
