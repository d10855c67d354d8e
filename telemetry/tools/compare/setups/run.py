"""One run: the requests sent to a running set-up, and their outcome."""

import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from time import time
from typing import Literal

from telemetry.tools.compare.counts.ledger import Account, Stored, accounts, item_account, problems
from telemetry.tools.compare.counts.store import ConsoleStore
from telemetry.tools.compare.load.generator import Done, Job, Load
from telemetry.tools.compare.load.mix import ANSWER_SECONDS, Request, is_right
from telemetry.tools.compare.scenarios.timeline import Sample
from telemetry.tools.compare.setups.standing import Standing
from telemetry.tools.traffic.client import Answer, call

OPEN_CLIENTS = 64
_STREAMED = ("spans", "log records")
_SIGNALS = (*_STREAMED, "counter")
_USERS = 20
_OK, _CREATED = 200, 201
_ARRIVAL_SECONDS = 20.0
_QUIET_SECONDS = 3.0


class Run(Standing):
    """Counts the requests sent and, at `finish`, the items stored and lost."""

    # Sending

    def seed(self, requests: int) -> None:
        """Create the users that the mix reads, and warm up all workers with so many further requests."""
        if given := self.context.project.requests:
            for number in range(len(given) + requests):
                self._ask(given[number % len(given)].numbered(f"seed-{number}"))
            return
        for number in range(_USERS):
            body = {"name": "Seed User", "email": f"seed.{number}@example.com"}
            answer = self._call("POST", "/users", body)
            self._count(answer.status, _CREATED)
            self.users.append(f"/users/{answer.body.get('id')}")
        for number in range(requests):
            answer = self._call("GET", self.users[number % _USERS])
            self._count(answer.status, _OK)

    def ask_once(self) -> None:
        """Send one request."""
        given = self.context.project.requests
        self._ask(given[0].numbered(f"single-{self._answered}") if given else Request("GET", self.users[0], "", _OK))

    def _ask(self, request: Request) -> None:
        body = json.loads(request.body) if request.body else None
        self._count(self._call(request.method, request.path, body).status, request.expected)

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> Answer:
        return call(self.service.port, method, path, body, ANSWER_SECONDS)

    def _count(self, status: int, expected: int) -> None:
        self._answered += 1
        if not is_right(status, expected):
            self.wrong[str(status)] += 1

    @property
    def responses(self) -> int:
        """The number of answered requests, all of which must reach the backend."""
        return self._answered + (self.service.probes_answered if self.context.project.probe_is_counted else 0)

    def load(self, kind: Literal["closed", "open"], seconds: float, rate: float = 0.0, turns: int = 1) -> Load:
        """Start a generator, which waits for its `go`; give it to `done` after each turn."""
        clients = self.context.options.clients if kind == "closed" else OPEN_CLIENTS
        project = self.context.project
        job = Job(self.service.port, self.users, seconds, clients, rate, project.requests, project.locustfile, turns)
        return Load(self.context.processes, self.context.folder, next(self.context.numbers), kind, job)

    def done(self, load: Load, wait: Callable[[float], object] | None = None) -> Done:
        """Wait for the end of a turn of a load and count what it sent."""
        done = load.result(wait or self.context.wait)
        self._answered += done.responses
        self.failed += done.failed
        self.wrong.update(done.wrong)
        return done

    # Counting

    def finish(self, *, settle: bool = True) -> list[Account]:
        """Scrape for the last time, stop everything gracefully and return the accounts.

        Without `settle` the service is stopped while it may still hold items.
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
            for signal in _STREAMED:
                self.collector.losses(signal)  # read while it runs; it keeps them
            self.collector.stop()
            self._await_arrival()
        self.stored = self.read()
        losses = {name: self._losses(name) for name in _SIGNALS}
        found = accounts(
            responses=self.responses, failed=self.failed, stored=self.stored, losses=losses, exported=self.exported
        )
        if self.exporter_survives and not self.store.remote and not self.variant.upstream:
            found += self._item_accounts(losses)
        return found

    def problems(self, found: list[Account], *, may_fail: bool = False, may_lose: bool = False) -> list[str]:
        """Return what is wrong with the run, each line with the set-up's name.

        Only our own telemetry must account for every item: losses of others are reported, but are not problems.
        """
        if self.variant.upstream:
            found = []
        lines = problems(found, self.wrong, self.failed, may_fail=may_fail, may_lose=may_lose)
        if self.store is not None and self.store.trouble:
            lines.append(self.store.trouble)
        return [f"{self.variant.title}: {line}" for line in lines]

    def _item_accounts(self, losses: dict[str, Counter[str]]) -> list[Account]:
        found = []
        numbers = {"spans": self.stored.spans, "log records": self.stored.log_records}
        for signal, stored in numbers.items():
            if signal in self._condition.uncounted:
                continue
            if signal == "log records" and not self.variant.sends_logs:
                continue
            # A collector's losses are certain, too, but it had accepted the items: they are missing with a reason.
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
            found.update(self.collector.losses(signal))
        return found

    def settle(self) -> None:
        """Wait until every request's span and log record have arrived, or nothing more arrives and nothing is queued.

        Counts wait for the next push or scrape, or for the stop.
        """
        if self.store is not None:
            self._await_arrival(holds=self._holds, signals=_STREAMED)

    def _has_starts(self) -> bool:
        """Return whether the start of each process has been logged, which happens shortly after it has joined."""
        if self.variant.upstream or not self.variant.sends_logs or not isinstance(self.store, ConsoleStore):
            return True
        starts = self.store.starts()
        return all(starts.get(ring["slot"], 0) >= ring["joined"] * 1e9 for ring in self.service.recorders())

    def _holds(self) -> bool:
        status = self.service.status()
        if status is None:
            return False
        waiting = any(ring["waiting_bytes"] for ring in status["rings"])
        reported = [status["signals"][signal] for signal in ("traces", "logs")]
        return waiting or any(one.get("queue", 0) or one.get("in_flight", 0) for one in reported)

    def _await_arrival(
        self,
        *,
        final: bool = True,
        holds: Callable[[], bool] = lambda: False,
        signals: Collection[str] = _SIGNALS,
    ) -> None:
        """Wait until everything is stored; give up when nothing has arrived for a while and nothing is queued."""
        last, quiet, left = self.read(), 0.0, _ARRIVAL_SECONDS * (3 if final else 1)
        while not self._complete(last, signals) and left > 0:
            self.context.wait(0.2)
            left -= 0.2
            found = self.read()
            quiet = 0.0 if found != last else quiet + 0.2
            last = found
            if quiet >= _QUIET_SECONDS + self.context.options.interval:
                if not holds():  # checked last, because the answer costs the service CPU time
                    break
                quiet = 0.0

    def _complete(self, stored: Stored, signals: Collection[str]) -> bool:
        pushed = {"spans": stored.server_spans, "log records": stored.access_records, "counter": stored.requests}
        if self.variant.is_scraped:
            del pushed["counter"]
        return (
            all(count >= self.responses for signal, count in pushed.items() if signal in self.exported & set(signals))
            and not (self.exporter_survives and self.variant.route and stored.spans < self._spans_ended)
            and self._has_starts()
        )

    @property
    def _spans_ended(self) -> int:
        return self.service.ended_items("spans") - self.service.losses("spans").total()

    def sample(self) -> None:
        """Record the backend's present counts."""
        if self.store is not None and not self.store.remote:
            self.samples.append(Sample(time(), self.store.read()))

    def read(self) -> Stored:
        """Return the items that the backend has, without duplicates."""
        if self.store is None:
            return Stored()
        found = self.store.read()
        if not self.variant.sends_logs:
            return replace(found, access_records=self.service.access_records())
        if found.access_records > self.responses and isinstance(self.store, ConsoleStore):
            return self.store.distinct(found)
        return found
