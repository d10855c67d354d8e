"""The console's life: start, stop, ports."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from telemetry.exporting.transports import make_transport
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console, PortError
from tests.exporting.conftest import signal_config
from tests.support.service import free_port, wait_until
from tests.tools.console.client import SPAN_ID, delayed, logs, one_span, post, request, traces

PORTS = ("grpc_port", "http_port", "api_port")


def new_console(**options: Any) -> Console:
    return Console(**{**dict.fromkeys(PORTS, 0), **options})


@pytest.mark.timing
def test_stop_leaves_no_thread_and_frees_the_ports() -> None:
    before = set(threading.enumerate())
    with new_console() as console:
        assert post(console.http_endpoint + "/v1/traces", one_span()).status == 200
        assert request(console.url + "/healthz").status == 200
        begin = time.monotonic()
    assert time.monotonic() - begin < 2
    # The thread with which grpc watches over the grace period ends an instant after the server.
    wait_until(lambda: set(threading.enumerate()) <= before)
    for name in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", getattr(console, name)))
            probe.listen()


@pytest.mark.timing
def test_stop_ends_idle_connections_at_once() -> None:
    with new_console() as console:
        idle = [socket.create_connection(("127.0.0.1", getattr(console, name))) for name in PORTS]
        time.sleep(0.1)
        begin = time.monotonic()
    assert time.monotonic() - begin < 2
    for connection in idle:
        connection.close()


def test_stop_twice_does_no_harm() -> None:
    console = new_console()
    console.stop()
    console.start()
    console.stop()
    console.stop()


def test_console_starts_again_with_its_ports_and_store() -> None:
    console = new_console(**{name: free_port() for name in PORTS})  # which no other process takes meanwhile
    with console:
        ports = [getattr(console, name) for name in PORTS]
        post(console.http_endpoint + "/v1/traces", one_span())
    with console:
        assert [getattr(console, name) for name in PORTS] == ports
        assert post(console.http_endpoint + "/v1/traces", one_span()).status == 200
    assert console.store.mode("collector").spans == 1
    assert console.store.mode("collector").duplicate_spans == 1


def test_two_consoles_of_one_process_do_not_mix() -> None:
    with new_console() as one, new_console() as two:
        post(one.http_endpoint + "/v1/traces", one_span())
        assert (one.store.mode("collector").spans, two.store.mode("collector").spans) == (1, 0)
        assert request(two.url + "/api/summary").json["modes"] == {}


@pytest.mark.parametrize("busy", PORTS)
def test_busy_port_is_named_and_nothing_is_left(busy: str) -> None:
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortError) as caught:
            new_console(**{busy: port}).start()
    assert str(caught.value) == f"{busy} {port} on 127.0.0.1 cannot be used: the port is busy"
    assert (caught.value.parameter, caught.value.port) == (busy, port)
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_second_console_on_the_same_ports_is_refused() -> None:
    with new_console() as console:
        for name in PORTS:
            with pytest.raises(PortError, match="the port is busy"):
                new_console(**{name: getattr(console, name)}).start()


@pytest.mark.parametrize("port", [-1, 65536])
def test_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(PortError, match="expected 0 to 65535"):
        new_console(api_port=port).start()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_foreign_host_is_refused(host: str) -> None:
    with pytest.raises(PortError, match=f"on {host} cannot be used"):
        new_console(host=host).start()


def loopbacks() -> list[str]:
    """The loopback addresses that this machine has: IPv6 may be switched off."""
    found = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.suppress(OSError), socket.socket(family) as probe:
            probe.bind((host, 0))
            found.append(host)
    return found


@pytest.mark.parametrize("host", loopbacks())
def test_console_on_each_loopback_is_reached(host: str) -> None:
    console = new_console(host=host)
    console.start()
    with console._running:
        assert request(console.url + "/healthz").status == 200
        assert post(console.http_endpoint + "/v1/traces", one_span()).status == 200


@contextlib.contextmanager
def connections(port: int, count: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections on which nothing more than this is sent."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]
        for connection in opened:
            connection.sendall(sent)
        yield opened


@pytest.mark.timing
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: ", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1"])
@pytest.mark.parametrize("name", PORTS[1:])
def test_idle_connections_silence_no_listener(name: str, sent: bytes) -> None:
    with new_console() as console, connections(getattr(console, name), 300, sent):
        begin = time.monotonic()
        for _ in range(3):
            assert request(console.url + "/healthz").status == 200
            assert post(console.http_endpoint + "/v1/traces", one_span()).status == 200
        assert time.monotonic() - begin < 8


def test_connections_are_kept_where_there_is_room() -> None:
    with new_console() as console, connections(console.http_port, 100) as opened:
        time.sleep(3)
        for connection in opened:
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)


def test_exporter_loses_nothing_where_its_idle_connection_is_closed() -> None:
    with new_console() as console:
        sender: Any = make_transport(signal_config("http/protobuf", console.http_port), "traces")
        for round_ in range(3):
            message = traces([(f"{round_ + 1:032x}", SPAN_ID)])
            assert sender.send(message.SerializeToString(), time.monotonic() + 20).reason is None
            assert sender._connection.is_fresh  # the one before was closed meanwhile
            with connections(console.http_port, 300):
                wait_until(lambda: post(console.http_endpoint + "/v1/logs", b"").status == 200)
                time.sleep(1.5)
        sender.close()
    assert console.store.mode("collector").spans == 3
    assert console.store.mode("collector").duplicate_spans == 0


@pytest.mark.timing
def test_request_that_runs_is_no_idle_connection() -> None:
    statuses: list[int] = []
    with new_console() as console:
        console.receiver.faults = Faults(delay=4, signals=("traces",))
        url = console.http_endpoint + "/v1/traces"
        sender = threading.Thread(target=lambda: statuses.append(post(url, one_span()).status))
        sender.start()
        wait_until(lambda: delayed(console) == 1)
        with connections(console.http_port, 300):
            assert post(console.http_endpoint + "/v1/logs", b"").status == 200
            sender.join()
    assert statuses == [200]


def test_clients_that_do_not_read_keep_no_page_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telemetry.tools.console.server._UNREAD_SECONDS", 1.0)
    with new_console() as console:
        for _ in range(6):
            assert post(console.http_endpoint + "/v1/logs", logs(16, body="x" * 240_000)).status == 200
        download = b"GET /api/save HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with connections(console.api_port, 8, download):
            time.sleep(2)
            # Eight large answers are made meanwhile, by a machine that may have other work.
            assert request(console.url + "/healthz", timeout=120).status == 200
            monkeypatch.undo()  # this client reads, but not always every second
            assert len(request(console.url + "/api/save", timeout=120).body) > 20_000_000


def test_delayed_answers_reach_their_senders_at_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telemetry.tools.console.server._STOP_SECONDS", 30)
    statuses: list[int] = []
    with new_console() as console:
        console.receiver.faults = Faults(delay=60)
        url = console.http_endpoint + "/v1/traces"
        senders = [threading.Thread(target=lambda: statuses.append(post(url, one_span()).status)) for _ in range(3)]
        for sender in senders:
            sender.start()
        wait_until(lambda: delayed(console) == len(senders))
    for sender in senders:
        sender.join()
    assert statuses == [503] * 3
