"""The exporter's loop with rings that a test writes."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import pytest

from telemetry.config import TelemetryConfig
from telemetry.exporting import direct, rings
from telemetry.exporting.loop import Loop
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.views import Views
from telemetry.exporting.outlets import Outlets
from telemetry.exporting.rings import Rings
from telemetry.exporting.state import State
from telemetry.journal.directory import RunDirectory
from telemetry.journal.records import LOG
from telemetry.journal.ring import RingWriter
from tests.support.rings import ring_in


class Service:
    """Two processes that record, and an exporter that keeps the texts of their records in `read`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        run = RunDirectory.join(folder, "test", "here", "1")
        self.writers: list[RingWriter] = [stack.enter_context(ring_in(run, made=made)) for made in (1, 2)]
        self.own: deque[tuple[Any, ...]] = deque()
        self.read: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.rings = Rings(run.path, {})
        self.rings.refresh()
        self.aggregation = Aggregation(Views({}))
        self.former: list[tuple[int, int]] | None = None
        nothing: Any = SimpleNamespace(
            pending_bytes=0,
            commit_seconds=1.0,
            aggregation=self.aggregation,
            of=lambda _: self.former,
            start=int,
            append=int,
            publish=int,
            has_appended=False,
            has_counted=False,
            is_push_due=lambda _: False,
            observe=lambda _: None,
            count=lambda _: None,
            save=lambda *_: None,
            hand_over=lambda **_: None,
        )
        self.loop = Loop(
            run.path,
            rings=self.rings,
            translator=cast("Any", self),
            outlets=nothing,
            state=nothing,
            own_records=self.own,
            is_current=lambda: True,
            is_alone=lambda: True,
            serves=lambda: True,
            in_thread=False,
        )
        stack.callback(self.loop._answering.close)

    def translate(self, records: list[tuple[Any, ...]], _: object) -> None:
        assert len(self.read) < 1000, "it does not end"
        self.read += [record[1] for record in records]
        self.meanwhile()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with ExitStack() as stack:
        yield Service(tmp_path, stack)


def test_drain_ends_while_others_go_on_to_record(service: Service) -> None:
    first, second = service.writers
    first.put((LOG, "a"))
    second.put((LOG, "b"))
    service.own.append((LOG, "own"))

    def record() -> None:
        for each in (first, second):
            each.put((LOG, "later"))
        service.own.append((LOG, "later"))

    service.meanwhile = record
    service.loop.drain()
    assert {"a", "b", "own"} <= {*service.read}
    service.meanwhile = lambda: None
    service.read.clear()
    assert service.loop.drain() == len(service.read) > 0
    assert service.loop.drain() == 0


def test_drain_covers_all_records_before_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pieces of a ring, whose space is given back in between."""
    monkeypatch.setattr(rings, "_PIECE_BYTES", 500)
    texts = [f"{number} {'x' * 90}" for number in range(30)]
    for text in texts:
        service.writers[0].put((LOG, text))
    service.writers[1].put((LOG, "b"))
    assert service.loop.drain() == len(texts) + 1
    assert [text for text in service.read if text != "b"] == texts


def test_record_that_cannot_be_read_yet_holds_up_no_other(service: Service) -> None:
    first, second = service.writers
    first.put((LOG, "a"))
    second.put((LOG, "b"))
    first._bytes[8] ^= 0xFF  # not visible to the reader's core
    assert (service.loop.drain(), service.read) == (1, ["b"])
    first._bytes[8] ^= 0xFF
    assert (service.loop.drain(), service.read) == (1, ["b", "a"])


@pytest.mark.parametrize(("texts", "at_once"), [(0, False), (1, False), (10, True)])
def test_ring_that_fills_while_others_are_read_is_read_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch, texts: int, *, at_once: bool
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(service.loop._answering, "answer_within", waits.append)

    def record() -> None:
        service.meanwhile = lambda: None
        for _ in range(texts):
            service.writers[0].put((LOG, "x" * 100))

    service.meanwhile = record
    service.writers[0].put((LOG, "a"))
    service.loop.run(lambda: len(waits) == 2)
    assert (waits[1] < 0.1) is at_once


@pytest.mark.parametrize(("former", "kept"), [([(os.getpid(), 2)], True), ([(os.getpid(), 1)], False), (None, True)])
def test_process_does_not_continue_the_values_of_a_former_one_with_its_id(
    service: Service, former: list[tuple[int, int]] | None, *, kept: bool
) -> None:
    for kind in ("updowncounter", "gauge"):
        service.aggregation.record((kind, kind, "", "", "", "", "", None), 3, {}, source=os.getpid())
    service.former = former
    service.loop.run(lambda: True)
    assert [series.value for _, [series] in service.aggregation.metrics()] == ([3, 3] if kept else [])


class Exporter:
    """An exporter in direct mode that may be killed: what it keeps is in the directory of the run."""

    def __init__(self, run: RunDirectory) -> None:
        config = TelemetryConfig.from_env({"TELEMETRY_MODE": "direct"})
        state = State([run.path])
        resource = {"service.instance.id": "test"}
        self.outlets = Outlets(config, direct.ways(config), run.path, None, resource, {}, state)
        self.loop = Loop(
            run.path,
            rings=Rings(run.path, state.of("rings") or {}),
            translator=cast("Any", SimpleNamespace(errors=0)),
            outlets=self.outlets,
            state=state,
            own_records=deque(),
            is_current=lambda: True,
            is_alone=lambda: True,
            serves=lambda: True,
            in_thread=False,
        )

    @property
    def starts(self) -> list[float]:
        found = [(each[1], series.value) for each, [series, *_] in self.outlets.aggregation.metrics()]
        return [value for name, value in found if name == "telemetry.worker.starts"]

    def is_scraped(self) -> None:
        assert self.loop.metrics("")

    def looks(self) -> None:
        now = monotonic()
        assert self.loop._look(now)
        assert self.loop._is_due(now)
        self.loop.commit(now)

    def begins(self) -> None:
        self.loop._rings.refresh()
        self.loop.commit(monotonic())

    def kill(self) -> None:
        self.loop._answering.close()


@pytest.mark.parametrize(
    "step", [Exporter.begins, Exporter.is_scraped, Exporter.looks, lambda each: each.loop.status()]
)
def test_starts_of_processes_are_counted_whenever_an_exporter_is_killed(
    tmp_path: Path, step: Callable[[Exporter], object]
) -> None:
    run = RunDirectory.join(tmp_path, "test", "here", "1")
    for number in (1, 2, 3):
        with ring_in(run, made=number, joined=number):
            exporter = Exporter(run)
            step(exporter)
            assert exporter.starts == [number]
            exporter.kill()
