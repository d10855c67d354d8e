"""Every finished request arrives as a span, a log record and a count, however its worker ends."""

import signal
import threading
from collections.abc import Callable

import pytest

from telemetry.tools.console.server import Console
from tests.lifecycle.conftest import REQUESTS, Ordinary
from tests.support.routes import LAZY, Route, expect, scraped_requests, send
from tests.support.service import NO_PRELOAD, Service, wait_until

StartService = Callable[..., Service]


def test_delivery_at_stop(ordinary: Ordinary) -> None:
    """Over gRPC; test_foreign_receiver has HTTP."""
    expect(ordinary.console, "collector", REQUESTS)


def test_delivery_at_stop_in_direct_mode(console: Console, start_service: StartService) -> None:
    """Over HTTP; test_delivery_of_sync_workers has gRPC."""
    service = start_service("--workers=2", NO_PRELOAD, **Route("direct", "http/protobuf").env(console), **LAZY)
    send(service, 30)
    assert scraped_requests(service) == 30
    service.stop()
    expect(console, "direct", 30)


@pytest.mark.parametrize(("mode", "preload"), [("collector", NO_PRELOAD), ("direct", "--preload")])
def test_delivery_of_sync_workers(console: Console, start_service: StartService, mode: str, preload: str) -> None:
    arguments = preload, "--worker-class=sync", "--threads=1"
    service = start_service("--workers=2", *arguments, **Route(mode, "grpc").env(console), **LAZY)
    send(service, 20)
    if mode == "direct":
        assert scraped_requests(service) == 20
    service.stop()
    expect(console, mode, 20)


def test_delivery_at_recycle(console: Console, start_service: StartService) -> None:
    """In collector mode; test_metrics_never_go_back_while_workers_come_and_go recycles in direct mode."""
    service = start_service("--workers=2", "--max-requests=6", **Route("collector", "grpc").env(console), **LAZY)
    wait_until(lambda: len(service.workers()) == 2, what="both workers")
    first_workers, sent = {worker.pid for worker in service.workers()}, 0

    def recycled() -> bool:
        nonlocal sent
        send(service, 10)  # whichever worker takes them
        sent += 10
        return not first_workers & {worker.pid for worker in service.workers()}

    wait_until(recycled, 60, "recycled workers")
    service.stop()
    expect(console, "collector", sent)
    assert len({span.resource.instance for span in console.store.spans()}) == 1


def test_delivery_at_reload_under_load(console: Console, start_service: StartService) -> None:
    """In direct mode, where a scrape reports the counts before the stop, too."""
    service = start_service("--workers=2", **Route("direct", "http/protobuf").env(console), **LAZY)
    first_workers = {worker.pid for worker in service.workers()}
    load = threading.Thread(target=send, args=(service, 120))
    load.start()
    service.send_signal(signal.SIGHUP)
    load.join()
    wait_until(lambda: len(service.workers()) == 2 and not first_workers & {w.pid for w in service.workers()})
    assert scraped_requests(service) == 120
    service.stop()
    expect(console, "direct", 120)


def test_delivery_of_a_request_that_ends_late_in_the_graceful_timeout(
    console: Console, start_service: StartService
) -> None:
    """Within TELEMETRY_FLUSH_TIMEOUT, 15 s, of its end."""
    service = start_service(
        "--workers=1",
        "--graceful-timeout=20",
        **Route("direct", "grpc").env(console),
        **LAZY,
        DJANGO_SETTINGS_MODULE="tests.support.settings_with_faults",
    )
    answers: list[int] = []
    late = threading.Thread(target=lambda: answers.append(service.get("/faults/sleep/6")[0]))
    late.start()
    _wait_until_it_hangs(service)
    service.stop()
    late.join()
    assert answers == [200]
    expect(console, "direct", 1)


def test_delivery_of_a_request_that_outlasts_the_recycling(console: Console, start_service: StartService) -> None:
    service = start_service(
        "--workers=1",
        "--max-requests=3",
        "--graceful-timeout=3",
        **Route("direct", "grpc").env(console),
        **LAZY,
        DJANGO_SETTINGS_MODULE="tests.support.settings_with_faults",
    )
    late = threading.Thread(target=service.get, args=("/faults/sleep/4",))
    late.start()
    _wait_until_it_hangs(service)
    send(service, 3)
    late.join()
    wait_until(service.answers, 60, "the next worker")
    wait_until(lambda: scraped_requests(service) == 4, what="the count")
    service.stop()
    expect(console, "direct", 4)


@pytest.mark.timing
@pytest.mark.parametrize(("mode", "threads"), [("collector", 1), ("direct", 4)])  # one thread: the class is sync
def test_delivery_while_a_request_hangs_past_the_graceful_timeout(
    console: Console, start_service: StartService, mode: str, threads: int
) -> None:
    service = start_service(
        "--workers=1",
        f"--threads={threads}",
        "--worker-class=sync",
        "--graceful-timeout=10",
        **Route(mode, "grpc").env(console),
        **LAZY,
        DJANGO_SETTINGS_MODULE="tests.support.settings_with_faults",
        TELEMETRY_FLUSH_TIMEOUT="5",
    )
    send(service, 12)
    hang = threading.Thread(target=_ignore_broken, args=(service, "/faults/sleep/60"))
    hang.start()
    _wait_until_it_hangs(service)
    assert service.stop() < 30
    hang.join()
    expect(console, mode, 12)


def test_delivery_at_worker_timeout(console: Console, start_service: StartService) -> None:
    service = start_service(
        "--workers=1",
        "--worker-class=sync",
        "--threads=1",
        "--timeout=5",
        **Route("collector", "grpc").env(console),
        **LAZY,
        DJANGO_SETTINGS_MODULE="tests.support.settings_with_faults",
    )
    send(service, 9)
    _ignore_broken(service, "/faults/sleep/60")
    service.stop()
    expect(console, "collector", 9)


def systems(console: Console) -> set[object]:
    """Return which databases the spans of queries name."""
    return {span.attributes.get("db.system.name") for span in console.store.spans() if span.kind == "client"}


def test_delivery_has_query_spans_of_sqlite(ordinary: Ordinary) -> None:
    assert systems(ordinary.console) == {"sqlite"}


def test_delivery_has_query_spans_of_postgresql(
    console: Console, start_service: StartService, migrated_postgres: str
) -> None:
    service = start_service("--workers=1", **Route("collector", "grpc").env(console), DATABASE_URL=migrated_postgres)
    send(service, 6)
    service.stop()
    expect(console, "collector", 6)
    assert systems(console) == {"postgresql"}


def test_delivery_of_two_services_on_one_host_stays_apart(console: Console, start_service: StartService) -> None:
    env = Route("collector", "grpc").env(console)
    services = [start_service("--workers=1", **env, **LAZY) for _ in range(2)]
    instances: list[set[tuple[str, ...]]] = []
    for number, service in enumerate(services, 1):
        send(service, 10)
        service.stop()
        expect(console, "collector", 10 * number)
        instances.append({span.resource.instance for span in console.store.spans()} - set().union(*instances))
    assert all(instances)


def _wait_until_it_hangs(service: Service) -> None:
    wait_until(lambda: "hanging\n" in service.output, what="the request that hangs")


def _ignore_broken(service: Service, path: str) -> None:
    try:
        service.get(path)
    except OSError:
        return
    except Exception as error:  # noqa: BLE001
        assert "Remote" in type(error).__name__, error  # noqa: PT017
