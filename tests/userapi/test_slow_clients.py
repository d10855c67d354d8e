"""Slow clients: they wait for themselves, and no one else waits for them."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from tests.support.service import Service, wait_until
from tests.userapi.test_health import answer as probed
from userapi.server import ANSWER_SECONDS, LINGER_SECONDS, REQUEST_SECONDS

THREADS = 2
SLOW = 8
HEAD = b"Host: localhost\r\nContent-Type: application/json\r\n"
LONG_FIELDS = (b"X: " + b"x" * 1019 + b"\r\n") * 80
USERS = (b'{"name": "Test User", "email": "test%d@example.com"}' % number for number in count(1))


OPTIONS = "--workers=1", f"--threads={THREADS}"
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.support.settings_with_faults"}


@pytest.fixture(scope="module")
def service(share_service: Callable[..., Service]) -> Service:
    """Each test leaves it as it was: its clients have gone."""
    return share_service(*OPTIONS, **SETTINGS)


@contextmanager
def connected(service: Service, sent: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as client:
        client.sendall(sent)
        yield client


def answer(client: socket.socket) -> bytes:
    """Return all that comes until the service closes the connection."""
    received = b""
    while piece := client.recv(65536):
        received += piece
    return received


BEGUN = {
    "nothing": b"",
    "byte": b"G",
    "head": b"GET /users HTTP/1.1\r\nHost: loc",
    "probe": b"GET /livez HTTP/1.1\r\n",
    "body": b"POST /users HTTP/1.1\r\n" + HEAD + b"Content-Length: 50\r\n\r\n{",
    "body after zeros": b"POST /users HTTP/1.1\r\n" + HEAD + b"Content-Length: 00000000000000000000050\r\n\r\n{",
    "body in other case": b"POST /users HTTP/1.1\r\n" + HEAD + b"content-LENGTH:\t50 \t\r\n\r\n{",
    "expected": b"POST /users HTTP/1.1\r\n" + HEAD + b"Content-Length: 50\r\nExpect: 100-continue\r\n\r\n",
    "large": b"POST /users HTTP/1.1\r\n" + HEAD + b"Content-Length: 65536\r\n\r\n" + b"x" * 65000,
    "pipelined": b"GET /users HTTP/1.1\r\nHost: localhost\r\n\r\nGET /users HTTP/1.1\r\n",
}


def others_are_served_beside(service: Service, begun: bytes) -> bool:
    """Return whether the others were served before the slow clients, who have begun like this, got their end."""
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(service, begun)) for _ in range(SLOW)]
        for _ in range(3):
            assert [probed(service, path)[0] for path in ("/livez", "/readyz", "/users")] == [200] * 3, begun
        if b"\r\n\r\n" not in begun:
            slow[0].setblocking(False)
            with suppress(BlockingIOError):
                slow[0].recv(1)
                return False
    return True


def test_slow_clients_take_no_thread(service: Service) -> None:
    for name, begun in BEGUN.items():
        # Again where a busy machine took longer than it gives slow clients.
        wait_until(partial(others_are_served_beside, service, begun), 60, f"whether others are served beside {name}")


def test_request_that_does_not_come_in_time_is_ended(service: Service) -> None:
    with connected(service, b"GET /users HTTP/1.1\r\n") as slow, connected(service, b"") as silent:
        assert answer(slow).startswith(b"HTTP/1.1 408 ")
        assert answer(silent) == b""
    assert service.get("/users")[0] == 200


def test_client_that_ends_its_request_early_costs_nothing(service: Service) -> None:
    (worker,) = service.workers()
    for sent in (b"", b"GET /users HTTP/1.1\r\n", b"POST /users HTTP/1.1\r\n" + HEAD):
        used = sum(worker.cpu_times()[:2])
        with connected(service, sent) as client:
            client.shutdown(socket.SHUT_WR)
            answer(client)  # until the service closes
        assert sum(worker.cpu_times()[:2]) - used < REQUEST_SECONDS / 4, sent
        assert service.get("/users")[0] == 200


@pytest.mark.timing
def test_clients_that_do_not_close_hold_nobody_up(service: Service) -> None:
    with ExitStack() as stack:
        request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        clients = [stack.enter_context(connected(service, request)) for _ in range(SLOW)]
        started = monotonic()
        assert all(answer(client).startswith(b"HTTP/1.1 200 ") for client in clients)
        assert service.get("/users")[0] == 200
        # One after the other they would take this long for each.
        assert monotonic() - started < LINGER_SECONDS * SLOW / 2


def test_client_that_stops_reading_frees_its_thread(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(2 * THREADS):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", service.port))
            client.sendall(b"GET /faults/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        # Two after each other hold a thread, and all clients stay.
        assert service.request("GET", "/users", timeout=6 * ANSWER_SECONDS)[0] == 200


def test_request_in_pieces_is_answered(service: Service) -> None:
    user = next(USERS)
    length = f"Content-Length: {len(user)}\r\nConnection: close\r\n\r\n".encode()
    with connected(service, b"POST /us") as client:
        for piece in (b"ers HTTP/1.1\r\n", HEAD, length, user[:10], user[10:]):
            service.get("/livez")  # so that the pieces arrive one by one
            client.sendall(piece)
        assert answer(client).startswith(b"HTTP/1.1 201 ")


def test_expected_continue_comes_before_the_body(service: Service) -> None:
    user = next(USERS)
    head = b"POST /users HTTP/1.1\r\n" + HEAD + b"Connection: close\r\nExpect: 100-continue\r\n"
    with connected(service, head + f"Content-Length: {len(user)}\r\n\r\n".encode()) as client:
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(user)
        assert b"HTTP/1.1 201 " in answer(client)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"Content-Length: 65537\r\n\r\n", b"413"),
        (b"Content-Length: 1000000000000000000000\r\n\r\n", b"413"),
        (b"Content-Length: 50\r\nContent-Length: 50\r\n\r\n" + b"x" * 50, b"400"),
        (b"Content-Length: 5 0\r\n\r\n", b"400"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"411"),
        (LONG_FIELDS, b"431"),
        (LONG_FIELDS + b"Content-Length: 65536\r\n\r\n" + b"x" * 1000, b"431"),
    ],
)
def test_refused_body_is_not_waited_for(service: Service, body: bytes, status: bytes) -> None:
    with ExitStack() as stack:
        request = b"POST /users HTTP/1.1\r\n" + HEAD + body
        slow = [stack.enter_context(connected(service, request)) for _ in range(SLOW)]
        assert service.get("/users")[0] == 200
        assert [answer(client)[:12] for client in slow] == [b"HTTP/1.1 " + status] * SLOW


def test_rest_of_a_refused_head_is_read(service: Service) -> None:
    (worker,) = service.workers()
    with connected(service, b"GET /users HTTP/1.1\r\n" + LONG_FIELDS[:60_000]) as client:
        service.get("/livez")  # so that the pieces arrive one by one
        client.sendall(LONG_FIELDS[:10_000])
        assert answer(client).startswith(b"HTTP/1.1 431 ")
        client.sendall(LONG_FIELDS[:1_000])
        port = client.getsockname()[1]
        wait_until(lambda: all(port not in each.raddr for each in worker.net_connections()), 60, "the close")
        # Unread bytes would have turned it into a reset.
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_requests_sent_together_are_all_answered(service: Service) -> None:
    one = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(service, one * 3 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as client:
        assert answer(client).count(b"HTTP/1.1 200 ") == 4


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_probes_are_answered_while_every_thread_is_busy(
    request: pytest.FixtureRequest, start_service: Callable[..., Service], tmp_path: Path, database: str
) -> None:
    if database == "sqlite":
        service: Service = request.getfixturevalue("service")
    else:
        service = start_service(*OPTIONS, **SETTINGS, DATABASE_URL=request.getfixturevalue("migrated_postgres"))
    before, end = service.output.count("hanging"), tmp_path / "end"
    with ThreadPoolExecutor(THREADS + 2) as clients:
        busy = [clients.submit(service.get, f"/faults/until{end}") for _ in range(THREADS + 1)]
        try:
            wait_until(lambda: service.output.count("hanging") - before == THREADS, 60, "busy threads")
            assert [probed(service, path)[0] for path in ("/livez", "/readyz", "/livez?x")] == [200] * 3
            assert not any(one.done() for one in busy)
        finally:
            end.touch()
        assert [one.result()[0] for one in busy] == [200] * len(busy)


@pytest.mark.timing
def test_stop_does_not_wait_for_slow_clients(start_service: Callable[..., Service]) -> None:
    service = start_service(*OPTIONS, **SETTINGS)
    with connected(service, b"GET /users HTTP/1.1\r\n"), connected(service, b""):
        service.get("/livez")
        assert service.stop() < REQUEST_SECONDS + 5
