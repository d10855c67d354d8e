"""Questions to the exporter reach it wherever the run's directory is."""

import fcntl
import resource
import socket
from pathlib import Path
from threading import Event, Thread

import pytest

from telemetry.exporting.server import Answering
from telemetry.journal import asking
from telemetry.journal.asking import answer, ask, ask_to_look, read_question, succeeded
from telemetry.journal.directory import lock_of_exporter, socket_of
from telemetry.journal.locks import release, try_take, unlock
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


def test_answer_that_ends_too_early_is_asked_for_again(tmp_path: Path) -> None:
    """As of an exporter that is killed."""
    answers = [b"", b'{"ok": tr', b'{"ok": true, "size": 5}\nabc', b'{"ok": true, "size": 5}\nabcde']

    def serve() -> None:
        for sent in answers:
            connection, _ = listening.accept()
            with connection:
                read_question(connection, 10)
                connection.sendall(sent)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(socket_of(tmp_path)))
        listening.listen()
        serving = Thread(target=serve, daemon=True)
        serving.start()
        assert ask(tmp_path, {"ask": "metrics"}, 30) == ({"ok": True, "size": 5}, b"abcde")
        serving.join(30)


@pytest.mark.parametrize("sent", [b"", b'{"ask": "look"', b"x" * 70_000])
def test_what_is_no_question_is_refused(sent: bytes) -> None:
    """At once: neither awaited for ever nor kept."""
    client, asked = socket.socketpair()
    with client, asked:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        client.sendall(sent)
        if len(sent) < 70_000:
            client.close()
        with pytest.raises(ValueError, match="it is no question"):
            read_question(asked, 5)
        client.close()
        answer(asked, b"too late", ok=True)  # which its client does not await


def test_exporter_that_goes_on_is_asked_to_look_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = try_take(lock_of_exporter(tmp_path))
    assert held is not None
    looks, turns = list[Path](), iter([True] * 4)

    def look(path: Path) -> bool:
        looks.append(path)
        return True

    monkeypatch.setattr(asking, "ask_to_look", look)
    assert succeeded(tmp_path, lambda: next(turns, False)) is None
    assert (looks, next(turns, None)) == ([tmp_path], None)
    unlock(held)
    following = succeeded(tmp_path)
    assert following is not None
    release(following)


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
