"""Questions to the exporter reach it wherever the run's directory is."""

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
