"""Exporters one after another, each with all its parts: whatever ends one, each record is exported and counted once."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from telemetry.config import TelemetryConfig
from telemetry.exporting import collector, direct
from telemetry.exporting import loop as loop_module
from telemetry.exporting.items.translation import Translator
from telemetry.exporting.loop import Loop
from telemetry.exporting.outlets import Outlets
from telemetry.exporting.rings import Rings
from telemetry.exporting.state import State
from telemetry.journal.directory import RunDirectory
from telemetry.journal.records import LOG, MEASUREMENT
from telemetry.journal.ring import has_unread
from telemetry.journal.spool import Spool
from telemetry.privacy import Redactor
from telemetry.tools.console.server import Console
from tests.support.rings import ring_in
from tests.support.service import free_port

CREATED, EXPORTED = "otel.sdk.log.created", "otel.sdk.exporter.log.exported"


class Killed(BaseException):
    """The end of an exporter, wherever it was."""


class Exporter:
    """An exporter in this thread. Its senders run only while `runs`, so that before, all batches wait."""

    def __init__(self, run: RunDirectory, port: int, *, mode: Any = collector, in_thread: bool = False) -> None:
        environ = {"TELEMETRY_MODE": mode.__name__.rpartition(".")[2], "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        config = TelemetryConfig.from_env({**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
        state, resource = State([run.path]), {"service.instance.id": "test"}
        self.outlets = outlets = Outlets(config, mode.ways(config), run.path, None, resource, {}, state)
        self.is_alone = self.is_current = True
        self.own: deque[tuple[Any, ...]] = deque()
        self.loop = Loop(
            run.path,
            rings=Rings(run.path, state.of("rings") or {}),
            translator=Translator(
                redactor=Redactor(),
                aggregation=outlets.aggregation,
                spans=outlets.spans,
                logs=outlets.logs,
                methods=outlets.own.methods,
            ),
            outlets=outlets,
            state=state,
            own_records=self.own,
            is_current=lambda: self.is_current,
            is_alone=lambda: self.is_alone,
            serves=lambda: False,
            in_thread=in_thread,
        )

    def begins(self) -> None:
        """What `Loop.run` does first."""
        self.loop._rings.refresh()
        self.loop.commit(monotonic())

    def reads(self) -> None:
        self.loop.drain()
        self.loop.commit(monotonic())

    def runs(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Run once, and `meanwhile` just before the end."""

        def stop() -> bool:
            meanwhile()
            return True

        self.loop.run(stop)

    def begins_only(self) -> None:
        """Run until the first commit, and leave the rest as it is."""
        self.runs(lambda: setattr(self, "is_alone", False))

    def kill(self) -> None:
        self.loop._answering.close()

    @property
    def spool(self) -> Spool:
        return self.outlets._senders["logs"].spool

    @property
    def waiting(self) -> list[str]:
        """The texts of the log records that a sender finds, which takes them."""
        requests = [ExportLogsServiceRequest.FromString(batch.read()) for batch in self.spool.take(1000, 1 << 20)]
        groups = [scope for request in requests for group in request.resource_logs for scope in group.scope_logs]
        return [record.body.string_value for group in groups for record in group.log_records]

    def count(self, name: str) -> float:
        """Return the sum of a counter."""
        counts: Counter[str] = Counter()
        for instrument, several in self.outlets.aggregation.metrics():
            counts[instrument[1]] += sum(each.value for each in several)  # type: ignore[assignment]
        return counts[name]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    joined = RunDirectory.join(tmp_path, "test", "here", "1")
    yield joined
    joined.leave()


def log(text: str) -> tuple[Any, ...]:
    return (LOG, "test", 1, 20, "INFO", text, None, {}, ())


STEPS = [(Outlets, "append"), (Outlets, "count"), (State, "save"), (Rings, "release"), (Outlets, "publish")]


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(("part", "step"), STEPS)
def test_exporter_killed_within_a_commit_loses_and_repeats_nothing(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, part: Any, step: str, *, done: bool
) -> None:
    taken = getattr(part, step)

    def killed(*arguments: Any) -> None:
        if done:
            taken(*arguments)
        raise Killed

    with ring_in(run) as ring:
        ring.put(log("a"))
        exporter = Exporter(run, free_port())
        exporter.begins()
        exporter.loop.drain()
        with monkeypatch.context() as patch:
            patch.setattr(part, step, killed)
            with pytest.raises(Killed):
                exporter.loop.commit(monotonic())
        is_published = step == "publish" and done
        assert exporter.waiting == (["a"] if is_published else [])
        exporter.kill()
        ring.put(log("b"))
        Exporter(run, free_port()).begins_only()
        following = Exporter(run, free_port())
        following.begins()
        following.reads()
        assert following.waiting == ["a", "b"]
        assert following.count(CREATED) == 2
        assert not has_unread(run.path / "slot-0.ring")
        following.kill()


def test_exporter_delivers_what_processes_that_have_ended_recorded(run: RunDirectory, console: Console) -> None:
    """One ended before it began, another while it ended."""
    with ring_in(run, made=1) as first, ring_in(run, made=2) as second:
        first.put(log("before"))
        first_path, second_path = (run.path / f"slot-{slot}.ring" for slot in (0, 1))
        second.put(log("during"))
        second_path.rename(run.path / "later")
    exporter = Exporter(run, console.http_port)
    exporter.runs(lambda: (run.path / "later").rename(second_path))
    assert {record.body for record in console.store.logs()} == {"before", "during"}
    assert not has_unread(first_path)
    assert not has_unread(second_path)
    ((_, [point]),) = console.store.series(EXPORTED)
    assert point.decode().data["value"] == 2
    following = Exporter(run, console.http_port)
    status = following.outlets.status()
    assert status["logs"]["accepted"] == 2
    assert status["metrics"]["accepted"] > 0
    assert following.waiting == []
    following.kill()


def test_exporter_in_a_thread_delivers_before_another_follows_and_its_counts_go_on(
    run: RunDirectory, console: Console
) -> None:
    with ring_in(run) as ring:
        ring.put(log("a"))
        Exporter(run, console.http_port, in_thread=True).runs(lambda: ring.put(log("b")))
        assert {record.body for record in console.store.logs()} == {"a", "b"}
        assert console.store.series(CREATED)
        following = Exporter(run, console.http_port)
        assert following.outlets.status()["logs"]["accepted"] == following.count(EXPORTED) == 2
        assert following.waiting == []
        following.kill()


def test_exporter_of_former_settings_leaves_the_rest_to_the_next(run: RunDirectory) -> None:
    with ring_in(run) as ring:
        ring.put(log("a"))
    exporter = Exporter(run, free_port())
    exporter.is_current = False
    exporter.own.append(log("own"))
    exporter.runs()
    following = Exporter(run, free_port())
    following.begins()
    assert following.waiting == ["a", "own"]
    assert following.outlets.status()["logs"]["losses"] == {}
    following.kill()


def test_exporter_that_is_no_longer_alone_changes_nothing(run: RunDirectory) -> None:
    exporter = Exporter(run, free_port())
    with ring_in(run) as ring:

        def replaced() -> None:
            exporter.is_alone = False
            ring.put(log("a"))

        exporter.runs(replaced)
        assert has_unread(run.path / "slot-0.ring")
    assert not any(sender.is_alive() for sender in exporter.outlets._senders.values())


def test_exporter_that_fails_at_its_end_sends_no_more(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = Exporter(run, free_port())
    monkeypatch.setattr(exporter.loop, "drain", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        exporter.runs()
    assert not any(sender.is_alive() for sender in exporter.outlets._senders.values())


def test_commit_is_due_once_the_last_is_long_enough_ago_or_metrics_wait(run: RunDirectory) -> None:
    exporter = Exporter(run, free_port())
    exporter.begins()
    loop, due = exporter.loop, exporter.loop._next_commit
    assert not loop._is_due(due + 60)
    with ring_in(run) as ring:
        loop._rings.refresh()
        ring.put(log("a"))
        loop.drain()
        assert (loop._is_due(due - 0.1), loop._is_due(due)) == (False, True)
        loop.commit(due)
        assert not loop._is_due(due + 60)
        ring.put(log("b"))
        loop.drain()
        assert (loop._is_due(due + 0.1), loop._is_due(due + 60)) == (False, True)
        exporter.loop.commit(due)
    exporter.outlets.push()
    assert loop._is_due(due - 0.1)
    loop.commit(due)
    assert not loop._is_due(due + 60)
    exporter.kill()


def test_exporter_looks_less_often_while_nothing_is_recorded(run: RunDirectory) -> None:
    exporter = Exporter(run, free_port())
    exporter.begins()
    loop, due = exporter.loop, exporter.loop._next_commit
    idle = [0.2, 0.4, 0.8, 1.0, 1.0]
    assert [loop._next_wait(0, due) for _ in idle] == idle
    assert loop._next_wait(1, due - 0.5) == pytest.approx(0.5)
    assert loop._next_wait(1, due) == 0.1
    assert [loop._next_wait(0, due) for _ in idle] == idle
    exporter.kill()


def test_what_waits_for_a_commit_is_bounded(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the share of a ring, whose process must not run out of room, and by the size of what is made of it."""
    exporter = Exporter(run, free_port())
    with ring_in(run) as ring:
        exporter.begins()
        for bound, texts in (("_HALF", 20), ("_PENDING_BYTES", 3)):
            with monkeypatch.context() as patch:
                patch.setattr(loop_module, bound, 0 if texts == 3 else 0.5)
                for number in range(texts):
                    ring.put(log(f"{number} {'x' * 80}"))
                exporter.loop.drain()
            assert not has_unread(run.path / "slot-0.ring")
            assert len(exporter.waiting) == texts
    exporter.kill()


@pytest.mark.parametrize("mode", [collector, direct])
def test_status_and_scrape_cover_what_was_recorded_before(run: RunDirectory, mode: Any) -> None:
    exporter = Exporter(run, free_port(), mode=mode)
    exporter.begins()
    with ring_in(run) as ring:
        ring.put(log("a"))
        if mode is direct:
            answer = exporter.loop.metrics("")
            assert answer is not None
            assert b"\notel_sdk_log_created_total 1.0\n" in answer[0]
        else:
            (before,) = exporter.loop.status()["rings"]
            assert before["waiting_bytes"] > 0
            assert exporter.loop.status()["signals"]["logs"]["queue"] == 1
    exporter.kill()


def test_process_that_has_ended_keeps_its_counts_but_no_current_values(run: RunDirectory) -> None:
    """Its last records come with its end, and are read before its values are forgotten."""
    gauge = ("gauge", "jobs", "", "", "", "", "", None)
    exporter = Exporter(run, free_port())
    with ring_in(run) as ring:
        exporter.begins()
        ring.put(log("a"))
        ring.put((MEASUREMENT, gauge, 3, {}, 1, None, None, False, os.getpid()))
    assert exporter.loop._look(monotonic())
    assert (exporter.count(CREATED), exporter.count("jobs")) == (1, 0)
    assert exporter.loop._rings.gone == []
    exporter.kill()
