"""The fault proxy does to bytes what `fault` says, at run time and by connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic

import pytest

from telemetry.tools.compare.setups.faults_proxy import FaultProxy
from telemetry.tools.compare.setups.faulty_connection import Fault
from tests.support.service import free_port, wait_until


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture
def proxy(echo: int) -> Iterator[FaultProxy]:
    with FaultProxy(echo, port=free_port()) as proxy:
        yield proxy


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 30)


def ask(connection: socket.socket, data: bytes, timeout: float = 30.0) -> bytes:
    """Send `data` and return as much of an answer, or less if the connection ends."""
    connection.settimeout(timeout)
    connection.sendall(data)
    answer = b""
    while len(answer) < len(data) and (more := connection.recv(65536)):
        answer += more
    return answer


def is_reset(proxy: FaultProxy) -> bool:
    """Connect and ask; return whether the connection was reset, however soon."""
    try:
        with connect(proxy) as connection:
            return not ask(connection, b"x")
    except (ConnectionResetError, BrokenPipeError):
        return True


def test_proxy_passes(proxy: FaultProxy) -> None:
    data = bytes(range(256)) * 8192
    with connect(proxy) as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        answer = b""
        while len(answer) < len(data):
            answer += connection.recv(65536)
        sender.join()
    assert answer == data
    assert proxy.connections == 1


def test_proxy_passes_the_answer_to_a_half_closed_connection(proxy: FaultProxy) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"last words"
        assert connection.recv(100) == b""


def test_proxy_refuses_and_takes_the_same_port_again(proxy: FaultProxy) -> None:
    port = proxy.port
    with connect(proxy) as connection:
        assert ask(connection, b"x") == b"x"
        proxy.fault = Fault("refuse")
        with pytest.raises(ConnectionResetError):
            ask(connection, b"x")
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.fault = Fault()
    assert proxy.port == port
    with connect(proxy) as connection:
        assert ask(connection, b"x") == b"x"


def test_proxy_swallows(proxy: FaultProxy) -> None:
    proxy.fault = Fault("black_hole")
    with connect(proxy) as connection:
        with pytest.raises(TimeoutError):
            ask(connection, b"x" * 1_000_000, 0.5)
        wait_until(lambda: proxy.received > 50_000)  # several pieces: at least the first is swallowed
        proxy.fault = Fault()
        with pytest.raises(ConnectionResetError):  # the rest would be a torn message
            ask(connection, b"x")


def test_proxy_delays(proxy: FaultProxy) -> None:
    proxy.fault = Fault("delay", seconds=0.5)
    with connect(proxy) as connection:
        started = monotonic()
        assert ask(connection, b"x") == b"x"
        assert monotonic() - started > 0.45
        proxy.fault = Fault("delay", seconds=60)
        proxy.fault = Fault()
        assert ask(connection, b"x") == b"x"


def test_proxy_answers_garbage(proxy: FaultProxy) -> None:
    proxy.fault = Fault("garbage")
    with connect(proxy) as connection:
        answer = ask(connection, b"x" * 500)
        assert b"garbage" in answer
        assert b"xx" not in answer


def test_proxy_closes_mid_answer(proxy: FaultProxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"hello") == b"hello"
        proxy.fault = Fault("close_mid_answer", answer_bytes=3)
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hel"
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_proxy_throttles(proxy: FaultProxy) -> None:
    proxy.fault = Fault("throttle", bytes_per_second=10_000)
    with connect(proxy) as connection:
        started = monotonic()
        assert len(ask(connection, b"x" * 5000)) == 5000
        assert monotonic() - started > 0.4  # the last piece is not waited for


def test_proxy_does_to_single_connections_what_was_planned(proxy: FaultProxy) -> None:
    proxy.next_connections(Fault("refuse"), Fault("garbage"), Fault("close_mid_answer", answer_bytes=1))
    assert is_reset(proxy)
    with connect(proxy) as connection:
        assert b"garbage" in ask(connection, b"x" * 100)
    with connect(proxy) as connection, suppress(ConnectionResetError):
        assert ask(connection, b"xy") == b"x"
    with connect(proxy) as connection:
        assert ask(connection, b"x") == b"x"
    assert proxy.connections == 4


def test_proxy_without_a_target_resets() -> None:
    with FaultProxy(free_port()) as proxy:
        assert is_reset(proxy)


def test_proxy_leaves_nothing_behind(echo: int) -> None:
    before = threading.active_count()
    with FaultProxy(echo) as proxy:
        connections = [connect(proxy) for _ in range(20)]
        for connection in connections:
            assert ask(connection, b"x") == b"x"
        for connection in connections[:10]:
            connection.close()
        wait_until(lambda: len(proxy._open) == 10)
    for connection in connections:
        connection.close()
    wait_until(lambda: threading.active_count() <= before)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "nap"}, "kind is 'nap'; expected pass, refuse, "),
        ({"kind": "delay", "seconds": -1}, "seconds is -1"),
        ({"kind": "close_mid_answer", "answer_bytes": -1}, "answer_bytes is -1"),
        ({"kind": "throttle", "bytes_per_second": 0}, "bytes_per_second is 0"),
    ],
)
def test_fault_refuses_wrong_values(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fault(**values)  # type: ignore[arg-type]
