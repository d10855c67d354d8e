"""One set-up standing: a backend, a proxy that can misbehave, a collector where one belongs, and the service."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Literal, Self

from telemetry.tools.compare.collectors import BackendPorts, Collector
from telemetry.tools.compare.context import Context
from telemetry.tools.compare.faults_proxy import FaultProxy
from telemetry.tools.compare.ledger import Account, Stored, accounts, item_account, problems
from telemetry.tools.compare.load import Done, Job, Load
from telemetry.tools.compare.remote_store import RemoteStore
from telemetry.tools.compare.route import Variant
from telemetry.tools.compare.service import Service
from telemetry.tools.compare.sockets import free_port
from telemetry.tools.compare.store import ConsoleStore, Store
from telemetry.tools.demo.client import call

OPEN_CLIENTS = 64
_USERS = 20
_CREATED = 201
_ARRIVAL_SECONDS = 20.0
_QUIET_SECONDS = 1.0


class Run:
    """A context manager around one run. Counts what is sent, and at `finish` what became of it.

    `workers` is gunicorn's number, by default that of the options. With `spool_on_disk` the service's batches and
    counts wait in a folder of the run (TELEMETRY_SPOOL_DIR) and outlive its processes.
    """

    def __init__(
        self, context: Context, variant: Variant, workers: int | None = None, *, spool_on_disk: bool = False
    ) -> None:
        self.context = context
        self.variant = variant
        self.responses = 0
        self.failed = 0
        self.wrong: Counter[str] = Counter()
        self.bounds: dict[str, Counter[str]] = {}
        """Losses that the fault of the comparison itself explains, by signal."""
        self.exporter_survives = True
        """Whether the exporter's numbers are complete: one that is killed takes those since its last commit with it."""
        self._spool_on_disk = spool_on_disk
        self.workers = workers or context.options.workers
        self._stack = ExitStack()
        self.users: list[str] = []
        self.collector: Collector | None = None
        self.store: Store | None = None
        self.backends: list[FaultProxy] = []
        """Before the backend, for gRPC and HTTP: what plays its faults."""
        self.wire: FaultProxy | None = None
        """Where the service sends to; one of `backends` where there is no collector."""
        self.stored = Stored()
        self.stop_seconds = 0.0

    def __enter__(self) -> Self:
        context, variant = self.context, self.variant
        number = next(context.numbers)
        self.folder = context.folder / f"run-{number}"
        self.folder.mkdir()
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        port = context.options.service_port or free_port()
        env = self._environment(number)
        try:
            env |= self._start_backend(port, env["OTEL_SERVICE_NAME"]) | dict(context.options.service_env)
            arguments = ["--workers", str(self.workers), context.application]
            log = f"run-{number}-{variant.key}.log"
            self.service = Service(context.processes, log, port, arguments, env, context.cores)
            self._stack.callback(self._end_service)
            self.service.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _environment(self, number: int) -> dict[str, str]:
        spool = {"TELEMETRY_SPOOL_DIR": str(self.folder / "spool")} if self._spool_on_disk else {}
        return spool | {
            "DATABASE_URL": self.context.database.fresh(),
            "USERAPI_OPEN_ACCESS": "true",
            "OTEL_SERVICE_NAME": f"user-api-compare-{self.context.folder.name[-6:]}-{number}",
            "OTEL_METRIC_EXPORT_INTERVAL": str(round(self.context.options.interval * 1000)),
            # What is sent and what arrives must not depend on chance.
            "OTEL_TRACES_SAMPLER": "always_on",
        }

    def _start_backend(self, port: int, name: str) -> dict[str, str]:
        """Start everything that the service sends to; return the environment that sends there."""
        variant, context = self.variant, self.context
        if variant.route is None:
            return variant.env(0)
        if context.options.backends.given:
            self.store = remote = RemoteStore(context.options.backends, variant, name)
            return remote.env
        store = ConsoleStore(variant, f"http://127.0.0.1:{port}/metrics", context.options.interval)
        self.store = self._stack.enter_context(store)
        grpc, http = (
            self._stack.enter_context(FaultProxy(port)) for port in (store.console.grpc_port, store.console.http_port)
        )
        self.backends = [grpc, http]
        self.wire = grpc if variant.protocol == "grpc" else http
        if self._has_collector:
            self.collector = context.collector(self.folder, variant.protocol, BackendPorts(grpc.port, http.port))
        if self.collector is not None:
            self._stack.callback(self.collector.kill)
            self.collector.start()
            self.wire = self._stack.enter_context(FaultProxy(self.collector.port))
        return variant.env(self.wire.port)

    @property
    def _has_collector(self) -> bool:
        return self.variant.mode == "collector" and self.context.options.collector != "none"

    def _end_service(self) -> None:
        if self.service.is_running:
            self.service.child.kill()

    # Sending

    def seed(self, requests: int) -> None:
        """Make the users that the mix reads, and warm all workers up with so many requests more."""
        for number in range(_USERS):
            body = {"name": "Seed User", "email": f"seed.{number}@example.com"}
            answer = call(self.service.port, "POST", "/users", body)
            self._count(answer.status, _CREATED)
            self.users.append(f"/users/{answer.body.get('id')}")
        for number in range(requests):
            answer = call(self.service.port, "GET", self.users[number % _USERS])
            self._count(answer.status, 200)

    def ask_once(self) -> None:
        """Send one request."""
        self._count(call(self.service.port, "GET", self.users[0]).status, 200)

    def _count(self, status: int, expected: int) -> None:
        self.responses += 1
        if status != expected:
            self.wrong[str(status)] += 1

    def load(self, kind: Literal["closed", "open"], seconds: float, rate: float = 0.0) -> Load:
        """Prepare a load, which waits for its `go`; give what it returns to `done`."""
        clients = self.context.options.clients if kind == "closed" else OPEN_CLIENTS
        job = Job(self.service.port, self.users, seconds, clients, rate)
        return Load(self.context.processes, self.context.folder, next(self.context.numbers), kind, job)

    def done(self, load: Load, wait: Callable[[float], object] | None = None) -> Done:
        """Wait for the end of a load and count what it sent."""
        done = load.result(wait or self.context.wait)
        self.responses += done.responses
        self.failed += done.failed
        self.wrong.update(done.wrong)
        return done

    # Counting

    @property
    def collector_name(self) -> str:
        """The collector's name and version, empty if there is none."""
        return self.collector.name if self.collector else ""

    def bytes_sent(self, scrape: int) -> int:
        """Return the bytes that have left the service: by OTLP, and `scrape` for each scrape."""
        scrapes = self.store.scrapes if isinstance(self.store, ConsoleStore) else 0
        return (self.wire.received if self.wire else 0) + scrapes * scrape

    @property
    def exported(self) -> frozenset[str]:
        """The signals that this set-up has."""
        return frozenset() if self.variant.route is None else frozenset({"spans", "log records", "counter"})

    def finish(self, *, settle: bool = True) -> list[Account]:
        """Scrape for the last time, stop everything in order and return the accounts.

        Without `settle` the service is stopped with all that it still holds.
        """
        if settle:
            self.settle()
        if self.store is not None:
            self.store.expect(self.responses)
            self.store.scrape()
        self.service.report()
        self.stop_seconds = self.service.stop()
        return self.account()

    def account(self) -> list[Account]:
        """Return the accounts of a service that has ended."""
        if self.store is None:
            return []
        if self.collector is None:
            self._await_arrival()
        else:
            self._await_arrival(final=False)
            self._note_collector_losses()
            self.collector.stop()
            self._await_arrival()
        self.stored = self.read()
        losses = {name: self._losses(name) for name in ("spans", "log records", "counter")}
        found = accounts(
            responses=self.responses, failed=self.failed, stored=self.stored, losses=losses, exported=self.exported
        )
        if self.exporter_survives and not self.store.remote:
            found += self._item_accounts(losses)
        return found

    def problems(self, found: list[Account], *, may_fail: bool = False, may_lose: bool = False) -> list[str]:
        """Return what is wrong with the run, each line with the set-up's name."""
        lines = problems(found, self.wrong, self.failed, may_fail=may_fail, may_lose=may_lose)
        if self.store is not None and self.store.trouble:
            lines.append(self.store.trouble)
        return [f"{self.variant.title}: {line}" for line in lines]

    def _item_accounts(self, losses: dict[str, Counter[str]]) -> list[Account]:
        found = []
        numbers = {"spans": self.stored.spans, "log records": self.stored.log_records}
        for signal, stored in numbers.items():
            if signal == "log records" and not self.variant.sends_logs:
                continue
            # What a collector lost is certain, too, but had been accepted: it is missing with a reason.
            found.append(item_account(signal, self.service.ended_items(signal), stored, losses[signal]))
        return found

    def _losses(self, signal: str) -> Counter[str]:
        found = Counter(self.bounds.get(signal, Counter()))
        if signal == "counter":
            if dropped := self.service.dropped_at_stops()["data points"]:
                # A push carries all counts of the service, so one that was dropped explains any number of them.
                found["last push dropped at stop"] = max(dropped, self.responses)
            return found
        if signal == "log records" and not self.variant.sends_logs:
            return found
        found.update(self.service.losses(signal))
        if self.collector is not None:
            found.update(self.collector.losses("spans" if signal == "spans" else "log records"))
        return found

    def _note_collector_losses(self) -> None:
        """Ask while it runs; it remembers."""
        if self.collector is not None:
            for item in ("spans", "log records"):
                self.collector.losses(item)

    def settle(self) -> None:
        """Wait until every request has arrived, or nothing more comes and the service holds nothing more."""
        if self.store is not None:
            self._await_arrival(holds=self._holds)

    def _holds(self) -> bool:
        signals: Sequence[str] = ("traces", "logs")
        status = self.service.status()
        if status is None:
            return False
        waiting = any(ring["waiting_bytes"] for ring in status["rings"])
        reported = [status["signals"][signal] for signal in signals]
        return waiting or any(one.get("queue", 0) or one.get("in_flight", 0) for one in reported)

    def _await_arrival(self, *, final: bool = True, holds: Callable[[], bool] = lambda: False) -> None:
        """Wait until all is there; give up when nothing has come for a while and nothing is queued any more."""
        last, quiet, left = self.read(), 0.0, _ARRIVAL_SECONDS * (3 if final else 1)
        while not self._complete(last) and left > 0 and quiet < _QUIET_SECONDS + self.context.options.interval:
            self.context.wait(0.2)
            left -= 0.2
            found = self.read()
            quiet = 0.0 if found != last or holds() else quiet + 0.2
            last = found

    def _complete(self, stored: Stored) -> bool:
        return (
            min(stored.server_spans, stored.access_records) >= self.responses
            and (stored.requests >= self.responses or self.variant.mode == "direct")
            and not (self.exporter_survives and stored.spans < self._spans_ended)
        )

    @property
    def _spans_ended(self) -> int:
        return self.service.ended_items("spans") - self.service.losses("spans").total()

    def read(self) -> Stored:
        """Return what the backend has, without duplicates."""
        if self.store is None:
            return Stored()
        found = self.store.read()
        if not self.variant.sends_logs:
            return replace(found, access_records=self.service.access_records())
        if found.access_records > self.responses and isinstance(self.store, ConsoleStore):
            return self.store.distinct(found)
        return found
