"""Spools and senders of this process before a receiver that fails on demand, and their numbers."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from telemetry.config import Signal, SignalConfig, TelemetryConfig
from telemetry.exporting.encoding import LogData, RequestBuilder, ScopeData, SpanData, encode_log, encode_span
from telemetry.exporting.sending import outage
from telemetry.exporting.sending.delivery import Delivery
from telemetry.exporting.sending.sender import Sender, Stopped
from telemetry.exporting.transports import make_transport
from telemetry.journal.spool import Spool
from telemetry.tools.compare.setups.faults_proxy import FaultProxy
from telemetry.tools.console.receiving.receiver import Refusal
from telemetry.tools.console.server import Console
from tests.support.service import free_port, wait_until

PROTOCOLS = ["grpc", "http/protobuf"]
ITEM = {"traces": "span", "logs": "log"}
SCOPE = ScopeData("test")
_numbers = count(1)


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def receiver_port(console: Console, protocol: str) -> int:
    return console.grpc_port if protocol == "grpc" else console.http_port


@pytest.fixture
def proxy(receiver_port: int) -> Iterator[FaultProxy]:
    with FaultProxy(receiver_port, port=free_port()) as proxy:
        yield proxy


@pytest.fixture
def refuse_first(console: Console, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, float | None], None]:
    """A function that lets the receiver refuse the first requests of each signal: `refuse_first(2, retry_after)`."""

    def refuse(requests: int, retry_after: float | None) -> None:
        seen: Counter[str] = Counter()
        receive = console.receiver.receive

        def refuse_or_receive(signal: Any, protocol: str, decode: Callable[[], Any]) -> Any:
            seen[signal.name] += 1
            if seen[signal.name] <= requests:
                raise Refusal(503, "not yet", retry_after)
            return receive(signal, protocol, decode)

        monkeypatch.setattr(console.receiver, "receive", refuse_or_receive)

    return refuse


def encoded(signal: str, number: int, size: int = 1) -> bytes:
    """Return a span or log record with an id of its own, of somewhat more than `size` bytes."""
    if signal == "traces":
        ids = number.to_bytes(16), number.to_bytes(8)
        return encode_span(SpanData(*ids, None, False, "", f"span {number}", 1, 1, 2, {"text": "x" * size}, None))
    return encode_log(LogData(1, 2, 9, "INFO", f"record {number}", {"text": "x" * size}, None, None, 0))


def batch(signal: str, items: int, size: int = 1) -> bytes:
    """Return a request with so many new spans or log records."""
    builder = RequestBuilder(signal, {"service.name": "test"})
    for _ in range(items):
        builder.add(SCOPE, encoded(signal, next(_numbers), size))
    return builder.build()


def signal_config(
    protocol: str, port: int, env: Mapping[str, str] | None = None, signal: Signal = "traces"
) -> SignalConfig:
    """Return how `signal` reaches a port of this host."""
    config = TelemetryConfig.from_env(
        {
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            **(env or {}),
        }
    )
    found: SignalConfig = getattr(config, signal)
    return found


@dataclass
class Line:
    """One signal's way from the spool to a backend, and what was measured on it."""

    spool: Spool
    sender: Sender
    measured: list[tuple[Any, float, dict[str, Any]]]
    sent: int = 0

    @property
    def delivery(self) -> Delivery:
        return self.sender.delivery

    def send(self, items: int, size: int = 1) -> None:
        """Write a batch of so many items into the spool."""
        self.spool.append(batch(self.spool.signal, items, size), items)
        self.delivery.evicted(self.spool.publish())
        self.sent += items

    def settle(self, seconds: float = 60) -> None:
        """Wait until nothing is on its way."""
        wait_until(lambda: self.spool.undelivered_items == 0 and self.delivery.in_flight == 0, seconds)

    def stop(self, seconds: float) -> Stopped:
        return self.sender.stop(monotonic() + seconds)

    def points(self, name: str) -> dict[str, float]:
        """Return the sums of a counter by `error.type` ("" for none)."""
        values: Counter[str] = Counter()
        for instrument, value, attributes in list(self.measured):
            if instrument[1] == name:
                values[str(attributes.get("error.type", ""))] += value  # type: ignore[assignment]
        return {kind: value for kind, value in values.items() if value}

    def count_of_requests(self) -> int:
        """Return how many requests have ended, one way or another."""
        return sum(instrument[1] == "otel.sdk.exporter.operation.duration" for instrument, _, _ in list(self.measured))

    def fates(self) -> dict[str, float]:
        """Return the number of items that came to each end, by what was measured: "" is accepted."""
        item = ITEM[self.spool.signal]
        fates = Counter(self.points(f"otel.sdk.exporter.{item}.exported"))
        for kind, value in self.points(f"otel.sdk.processor.{item}.processed").items():
            if kind:
                fates[kind] += value  # type: ignore[assignment]
        return dict(fates)

    def check(self, **fates: int) -> None:
        """Check the number of items of each fate, in what was measured as in the delivery, and their sum."""
        expected = {("" if kind == "accepted" else kind): value for kind, value in fates.items() if value}
        assert self.fates() == expected
        losses = {reason: items for reason, items in self.delivery.losses.items() if items}
        assert {"": self.delivery.accepted, **losses} == {"": 0, **expected}
        assert sum(expected.values()) == self.sent


@dataclass
class StartLine:
    """Makes lines to a port: `start(port, "logs", timeout=2.0, OTEL_EXPORTER_OTLP_COMPRESSION="gzip")`."""

    protocol: str
    folder: Path
    stack: ExitStack
    started: list[Line] = field(default_factory=list)

    def __call__(
        self,
        port: int,
        signal: Signal = "traces",
        *,
        spool: Spool | None = None,
        timeout: float = 20.0,
        **options: Any,
    ) -> Line:
        env = {name: options.pop(name) for name in list(options) if name.isupper()}
        config = signal_config(self.protocol, port, env, signal)
        if spool is None:
            folder = self.folder / f"spool-{len(self.started)}"
            folder.mkdir()
            bounds = {name: options.pop(name) for name in ("max_bytes", "max_waiting") if name in options}
            spool = Spool(
                folder, signal, max_bytes=bounds.get("max_bytes", 16 << 20), max_items=bounds.get("max_waiting")
            )
            spool.recover(None)
        measured: list[tuple[Any, float, dict[str, Any]]] = []
        delivery = Delivery(
            signal, config.endpoint, self.protocol, lambda *each: measured.append((each[0], each[1], dict(each[2])))
        )
        given = {"schedule_delay": 0.01, "max_items": 512, "first_retry": 0.05, "longest_retry": 0.5} | options
        sender = Sender(spool, make_transport(config, signal), delivery, timeout=timeout, **given)
        line = Line(spool, sender, measured)
        self.started.append(line)
        self.stack.callback(line.stop, 0.0)
        sender.start()
        return line


@pytest.fixture
def start_line(protocol: str, tmp_path: Path) -> Iterator[StartLine]:
    with ExitStack() as stack:
        yield StartLine(protocol, tmp_path, stack)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """A function that returns what the log says of outages."""
    caplog.set_level(logging.INFO, outage.__name__)

    def found() -> list[str]:
        return [
            f"{record.levelname} {record.getMessage()}" for record in caplog.records if record.name == outage.__name__
        ]

    return found
