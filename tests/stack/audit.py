"""The audit with the real servers: nothing is missing in calm, and what each hop loses on purpose is found.

    python -m tests.stack.audit --bin FOLDER

Runs the service in both modes, Alloy, Tempo, Loki and Prometheus with the files of deploy/ (Prometheus scrapes every
second). Between Alloy and Tempo is a gate that can refuse spans for good, or take them and keep them. The service in
direct mode loses what finds no room in its queue while Tempo is down.

Exit code 0 where the audit says of each what happened, 1 where it does not, 2 where a program is missing.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import grpc

import tests.support.environment  # noqa: F401  (the service's settings need it)
from telemetry.tools.account import Account
from telemetry.tools.audit.audit import SETTLED
from tests.conftest import migrate
from tests.stack.check import Report
from tests.stack.scraping import Asked, scrape, scrape_service
from tests.stack.servers import Stack, given_binaries
from tests.support.routes import send
from tests.support.service import Service, free_port
from tests.tools.audit.conftest import EAGER, Auditor, missing

_REQUESTS = 60
_QUEUE = 150

Found = Mapping[str, Account]


class Gate(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # the class takes none when it runs
    """Passes OTLP over gRPC on to Tempo, refuses it for good, or keeps it; a context manager."""

    def __init__(self) -> None:
        self.port = free_port()
        self.target = 0
        self.does: Literal["pass", "refuse", "keep"] = "pass"
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((self,))
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")

    def __enter__(self) -> Self:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self.target}")
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()
        self._channel.close()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return what answers a method: bytes in, bytes out."""
        return grpc.unary_unary_rpc_method_handler(
            lambda body, call: self._answer(handler_call_details.method, body, call)
        )

    def _answer(self, method: str, body: bytes, call: grpc.ServicerContext) -> bytes:
        if self.does == "refuse":
            call.abort(grpc.StatusCode.INVALID_ARGUMENT, "refused on purpose")
        if self.does == "keep":
            return b""
        answer: bytes = self._channel.unary_unary(method, bytes, bytes)(body, timeout=10)
        return answer


class Scene:
    """The stack with a service in one mode, and its auditor."""

    def __init__(self, stack: Stack, service: Service, env: Mapping[str, str], alloy: bool) -> None:
        places = {
            "prometheus": f"http://127.0.0.1:{stack.prometheus_port}",
            "tempo": f"http://127.0.0.1:{stack.tempo_port}",
            "loki": f"http://127.0.0.1:{stack.loki_port}",
            "alloy": f"http://127.0.0.1:{stack.alloy_port}" if alloy else "none",
            "jaeger": "none",
        }
        self.service = service
        prometheus: Any = Asked(stack.prometheus_port)
        self._auditor = Auditor(service, places, env, prometheus, SETTLED)

    def audit(
        self,
        change: Callable[[], object],
        condition: Callable[[Found], object],
        what: str,
        requests: int = _REQUESTS,
        after: Callable[[], object] = lambda: None,
    ) -> Found:
        """Begin a window, `change` something, send requests, do what comes `after`; audit until the condition holds."""
        self._auditor.begin()
        change()
        send(self.service, requests)
        after()
        self._auditor.rest()
        return self._auditor.until(condition, what)


@contextmanager
def scene(mode: str, stack: Stack, folder: Path, env: Mapping[str, str]) -> Iterator[Scene]:
    """Run a service in one mode."""
    database = f"sqlite:///{folder}/{mode}.sqlite3"
    migrate(database)
    full = {
        **EAGER,
        "USERAPI_OPEN_ACCESS": "true",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "TELEMETRY_MODE": mode,
        **env,
    }
    with Service(folder, database, full, "--workers=2") as service:
        if mode == "direct":
            scrape_service(folder, service.port)
        send(service, 3)
        yield Scene(stack, service, full, alloy=mode == "collector")


def whole(found: Found) -> str:
    """Return what is not all there, empty where all is."""
    wrong = [f"{one.signal}: {one.completeness}, {missing(one)}" for one in found.values() if one.completeness != 1]
    return "; ".join(wrong) or ("" if len(found) == 3 else f"only {sorted(found)}")


def expected(account: Account, losses: Mapping[tuple[str, str], int]) -> str:
    """Return what differs from the losses by place and reason, empty where nothing does."""
    return "" if missing(account) == losses else f"{missing(account)} in place of {losses}: {account}"


def lost(account: Account, where: str, reason: str) -> str:
    """Return what differs from every item lost there for that reason, empty where nothing does."""
    return expected(account, {(where, reason): account.recorded.items})


def through_alloy(report: Report, stack: Stack, gate: Gate, folder: Path) -> None:
    def does(what: Literal["pass", "refuse", "keep"]) -> None:
        gate.does = what

    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{stack.otlp_grpc}"}
    with scene("collector", stack, folder, env) as collected:
        found = collected.audit(
            lambda: does("pass"), lambda one: len(one) == 3 and one["traces"].recorded.items >= _REQUESTS, "complete"
        )
        report.line("collector, calm: all is stored", whole(found))
        found = collected.audit(
            lambda: does("refuse"),
            lambda one: sum(missing(one["traces"]).values()) >= one["traces"].recorded.items >= _REQUESTS,
            "refused",
        )
        report.line("collector: Tempo refuses what Alloy sends", lost(found["traces"], "Alloy", "send_failed"))
        report.line("collector: the log records are all there", "" if found["logs"].completeness == 1 else str(found))
        found = collected.audit(
            lambda: does("keep"),
            lambda one: sum(missing(one["traces"]).values()) >= one["traces"].recorded.items >= _REQUESTS,
            "kept",
        )
        report.line(
            "collector: spans vanish between Alloy and Tempo",
            lost(found["traces"], "between Alloy and Tempo", "confirmed but not stored"),
        )
        does("pass")


def straight(report: Report, stack: Stack, folder: Path) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{stack.tempo_otlp}",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://127.0.0.1:{stack.loki_port}/otlp/v1/logs",
        "OTEL_BSP_MAX_QUEUE_SIZE": str(_QUEUE),
    }
    with scene("direct", stack, folder, env) as scraped:
        found = scraped.audit(
            lambda: None, lambda one: len(one) == 3 and one["traces"].recorded.items >= _REQUESTS, "complete"
        )
        report.line("direct, calm: all is stored", whole(found))
        # Until it is back, which is in the window as well.
        found = scraped.audit(
            stack.tempo.stop,
            lambda one: one["traces"].recorded.lost and not one["traces"].recorded.waiting,
            "dropped",
            2 * _QUEUE,
            stack.tempo.start,
        )
        account = found["traces"]
        dropped = {("the service", "queue_full"): account.recorded.lost["queue_full"]}
        report.line("direct: no room while Tempo is down", expected(account, dropped))
        report.line("direct: the log records are all there", "" if found["logs"].completeness == 1 else str(found))


def main() -> int:
    binaries = given_binaries(__doc__, ("alloy", "tempo", "loki", "prometheus"))
    report = Report()
    with tempfile.TemporaryDirectory(prefix="audit-") as name:
        folder, gate = Path(name), Gate()
        stack = Stack(folder, binaries, {"ALLOY_METRICS": "otlp", "TEMPO_OTLP_GRPC": f"127.0.0.1:{gate.port}"})
        gate.target = stack.tempo_otlp
        scrape(folder, {"alloy": stack.alloy_port, "tempo": stack.tempo_port, "loki": stack.loki_port})
        with gate, stack.running():
            through_alloy(report, stack, gate, folder)
            straight(report, stack, folder)
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
