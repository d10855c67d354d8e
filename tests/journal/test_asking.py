"""Questions to the exporter reach it wherever the run's directory is."""

import fcntl
import resource
import socket
from pathlib import Path
from threading import Event, Thread

from telemetry.exporting.server import Answering
from telemetry.journal.asking import ask_to_look
from telemetry.journal.directory import socket_of
from tests.support.service import wait_until


def test_address_may_be_longer_than_that_of_a_socket(tmp_path: Path) -> None:
    """TMPDIR is anything, and a run begins there where shared memory has no room."""
    run = tmp_path / ("x" * 120) / "run-0"
    run.mkdir(parents=True)
    looked = Event()
    answering = Answering(run, lambda _: None, dict, looked.set)
    answering.socket.setblocking(True)
    answering.socket.settimeout(10)
    thread = Thread(target=answering.answer)
    thread.start()
    wait_until(lambda: ask_to_look(run))
    assert looked.is_set()
    answering.socket.shutdown(socket.SHUT_RDWR)  # it waits for another question
    answering.close()
    thread.join(20)
    assert not socket_of(run).exists()


def test_questions_are_answered_beside_thousands_of_connections(tmp_path: Path) -> None:
    """In a thread of a server that has them."""
    bounds = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, bounds[1]), bounds[1]))
    looked = Event()
    answering = Answering(tmp_path, lambda _: None, dict, looked.set)
    try:
        high = fcntl.fcntl(answering.socket, fcntl.F_DUPFD_CLOEXEC, 2000)
        answering.socket.close()
        answering.socket = socket.socket(fileno=high)
        answering.answer_within(0.001)
        thread = Thread(target=answering.answer_within, args=(10,))
        thread.start()
        assert ask_to_look(tmp_path)
        thread.join(20)
        assert looked.is_set()
    finally:
        answering.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, bounds)
