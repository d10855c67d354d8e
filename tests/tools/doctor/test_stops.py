"""Each hop of the service's own side broken on purpose: the doctor says where it stops, and goes on where it can."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from telemetry.tools.audit.audit import AuditError, audit
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from telemetry.tools.doctor.places import Places
from telemetry.tools.management.commands.doctor import Command
from tests.support.routes import Route
from tests.support.service import ROOT, Service, free_port, wait_until
from tests.tools.doctor.conftest import EAGER, Pair, diagnose, pairs, routes, run_doctor

COLLECTOR = Route("collector", "grpc")
both_protocols = routes(COLLECTOR, Route("collector", "http/protobuf"))
NOWHERE = {"service": "http://127.0.0.1:1", "console": "http://127.0.0.1:1"}


@pytest.fixture
def faults(pair: Pair) -> Iterator[Console]:
    yield pair.console
    pair.console.receiver.faults = Faults()


def test_configuration_wrong() -> None:
    """One line for all variables that are wrong; what comes after cannot be checked; no secret is shown."""
    environ = {"TELEMETRY_MODE": "colector", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:hush@alloy:4317"}
    found = diagnose(NOWHERE, environ)
    configuration = found.hop("configuration")
    assert configuration["state"] == "failed"
    assert "TELEMETRY_MODE: invalid value 'colector'" in configuration["detail"]
    assert configuration["remedy"] == "correct TELEMETRY_MODE, OTEL_EXPORTER_OTLP_ENDPOINT"
    others = [hop for hop in found.report["hops"] if hop["hop"] != "configuration"]
    assert {hop["state"] for hop in others} == {"not checked"}
    assert {hop["detail"] for hop in others} == {"because of: configuration"}
    assert "hush" not in found.text


@pytest.mark.parametrize("off", [{"TELEMETRY_MODE": "off"}, {"OTEL_SDK_DISABLED": "true"}])
def test_mode_off(off: dict[str, str]) -> None:
    found = diagnose(NOWHERE, off)
    assert (found.report["stops_at"], found.report["mode"]) == ("configuration", "off")
    assert found.hop("configuration")["remedy"] == (
        f"set TELEMETRY_MODE=collector or direct ({next(iter(off))} turns it off) and restart the service"
    )


def test_mode_off_in_the_service(own_pair: Callable[..., Pair]) -> None:
    """The shell says otherwise; the answer without a trace id gives it away."""
    examined = own_pair(COLLECTOR, TELEMETRY_MODE="off")
    found = examined.diagnose(TELEMETRY_MODE="collector")
    assert found.report["stops_at"] == "request", found.text
    assert "its telemetry is off or did not start" in found.hop("request")["detail"]
    assert found.hop("status")["state"] == "warning"
    assert found.hop("otlp", "traces")["state"] == "ok"
    assert found.hop("trace")["detail"] == "because of: request"


def test_service_whose_exporter_does_not_answer(pair: Pair) -> None:
    """It is not taken for a service without telemetry, nor does the shell's environment stand in for its word."""
    status = wait_until(pair.service.status, 60, "the exporter's status")
    assert status
    exporter = psutil.Process(status["pid"])
    exporter.suspend()
    try:
        found = diagnose(pair.places, {"TELEMETRY_MODE": "direct"}, timeout=1)
        assert found.failed == ["configuration"], found.text
        detail = found.hop("configuration")["detail"]
        assert detail.startswith(f"user-api at http://127.0.0.1:{pair.service.port} (process "), detail
        assert "runs, but the exporter did not answer within 1 s" in detail
        with pytest.raises(AuditError, match=r"user-api at .* runs, but the exporter did not answer within 1 s"):
            audit(Places.read(pair.places, 1.0, {}), 60, {"TELEMETRY_MODE": "direct"})
    finally:
        exporter.resume()


def test_proxy_in_between(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:hush@127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    found = pair.diagnose()
    assert "HTTP_PROXY applies to 127.0.0.1: add the host to NO_PROXY" in found.hop("configuration")["remedy"]
    assert found.hop("tcp")["detail"] == "not checked: HTTP_PROXY is in between"
    assert found.hop("otlp", "traces")["state"] == "failed"
    assert "hush" not in found.text


def test_service_down(pair: Pair) -> None:
    """The way beyond it is looked at all the same."""
    port = free_port()
    found = diagnose({**pair.places, "service": f"http://127.0.0.1:{port}"}, pair.env, wait=1)
    assert found.failed == [f"service http://127.0.0.1:{port}"]
    assert found.hop("service")["detail"] == f"http://127.0.0.1:{port}/livez: connection refused"
    assert "TELEMETRY_SERVICE_URL" in found.hop("service")["remedy"]
    states = found.states()
    assert (states["otlp traces"], states["ready the console"], states["request"]) == ("ok", "ok", "not checked")


def test_service_without_migrations(tmp_path: Path, pair: Pair) -> None:
    """Not ready is no reason not to follow the request: what it becomes is telemetry too."""
    database = f"sqlite:///{tmp_path}/empty.sqlite3"
    env = {"USERAPI_OPEN_ACCESS": "true", **pair.env}
    with Service(tmp_path, database, env) as service:
        found = diagnose({**pair.places, "service": f"http://127.0.0.1:{service.port}"}, pair.env)
    assert found.failed == ["database"], found.text
    assert "not applied: run manage.py migrate" in found.hop("database")["detail"]
    assert (found.hop("request")["state"], found.hop("trace")["state"]) == ("warning", "ok")


@both_protocols
@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "check the credentials in OTEL_EXPORTER_OTLP_HEADERS"), (404, None), (503, None)],
)
def test_export_refused(pair: Pair, faults: Console, status: int, remedy: str | None) -> None:
    faults.receiver.faults = Faults(status=status, signals=("traces",))
    found = pair.diagnose()
    assert found.failed == ["otlp traces"], found.text
    assert found.hop("otlp", "traces")["remedy"]
    assert remedy in {None, found.hop("otlp", "traces")["remedy"]}
    assert found.hop("trace")["detail"] == "because of: otlp traces"
    assert (found.hop("log")["state"], found.hop("metric")["state"]) == ("ok", "ok")


@both_protocols
def test_export_rejected(pair: Pair, faults: Console) -> None:
    faults.receiver.faults = Faults(partial_reject=1, signals=("logs",))
    found = pair.diagnose()
    assert found.failed == ["otlp logs"], found.text
    assert found.hop("otlp", "logs")["detail"].startswith("the request was accepted, but a log record was rejected")


@both_protocols
@pytest.mark.timing
def test_export_without_answer(pair: Pair, faults: Console) -> None:
    """Bounded by the time-out of the configuration, and of the command."""
    faults.receiver.faults = Faults(delay=30, signals=("metrics",))
    found = diagnose(pair.places, {**pair.env, "OTEL_EXPORTER_OTLP_TIMEOUT": "4000"}, timeout=25)
    assert found.failed == ["otlp metrics"], found.text
    assert found.hop("otlp", "metrics")["detail"].startswith("timeout: ")
    assert found.hop("otlp", "metrics")["seconds"] < 20


def test_protocol_mixed_up(own_pair: Callable[..., Pair], pair: Pair) -> None:
    """gRPC to the port of HTTP, in the service itself."""
    endpoint = f"http://127.0.0.1:{pair.console.http_port}"
    examined = own_pair(COLLECTOR, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    found = examined.diagnose()
    assert found.report["stops_at"] == f"protocol 127.0.0.1:{pair.console.http_port}", found.text
    assert found.hop("request")["state"] == "ok"
    assert {found.hop(name)["state"] for name in ("otlp", "trace", "log", "metric", "exemplar")} == {"not checked"}


def test_path_wrong() -> None:
    """404 of the receiver itself."""
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        env = Route("collector", "http/protobuf").env_for(console.grpc_port, console.http_port)
        url = f"http://127.0.0.1:{console.http_port}/v1/spans"
        places = {"service": "http://127.0.0.1:1", "console": console.url}
        found = diagnose(places, {**EAGER, **env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url})
    assert found.hop("otlp", "traces")["detail"] == "refused: HTTP 404 Not Found"
    assert found.hop("otlp", "traces")["remedy"] == "check the endpoint's path"


@pytest.fixture(scope="module")
def sampled_out(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Pair]:
    """A service that records no trace."""
    with pairs(tmp_path_factory.mktemp("sampled-out"), migrated_sqlite) as start:
        yield start(COLLECTOR, OTEL_TRACES_SAMPLER="always_off")


@pytest.mark.timing
def test_sampled_out(sampled_out: Pair) -> None:
    """Known before it is waited for; its log record and its count arrive nevertheless."""
    found = sampled_out.diagnose()
    assert found.failed == ["trace the console"], found.text
    assert found.hop("trace")["detail"] == "sampled out: always_off does not record it"
    assert found.hop("trace")["remedy"].startswith("set OTEL_TRACES_SAMPLER to a sampler")
    assert found.hop("trace")["seconds"] < 10
    assert found.hop("exemplar")["detail"] == "its trace is sampled out"
    assert (found.hop("log")["state"], found.hop("metric")["state"]) == ("ok", "ok")


def test_sampled_out_unknown_to_the_shell(sampled_out: Pair) -> None:
    found = diagnose(sampled_out.places, {**sampled_out.env, "OTEL_TRACES_SAMPLER": "always_on"}, wait=2)
    assert found.hop("trace")["detail"] == "no span of this trace within 2 s"
    assert "check that OTEL_TRACES_SAMPLER of the running service samples it" in found.hop("trace")["remedy"]


def test_logs_on_standard_output(own_pair: Callable[..., Pair]) -> None:
    """No failure: it is what the configuration says. Nor is a trace that is the service's own."""
    env = {"OTEL_LOGS_EXPORTER": "console", "TELEMETRY_INCOMING_CONTEXT": "ignore"}
    found = own_pair(Route("direct", "grpc"), **env).diagnose()
    assert found.passed, found.text
    assert "started by the service" in found.hop("request")["detail"]
    assert (found.hop("otlp", "logs")["state"], found.hop("log")["detail"]) == (
        "not checked",
        "OTEL_LOGS_EXPORTER is console",
    )


@routes(Route("direct", "http/protobuf"))
def test_metrics_without_their_token(pair: Pair) -> None:
    found = pair.diagnose(METRICS_TOKEN="")
    assert found.failed == ["metrics /metrics"], found.text
    assert found.hop("metrics")["detail"] == "HTTP 401"
    assert "METRICS_TOKEN" in found.hop("metrics")["remedy"]
    assert found.hop("metric")["detail"] == "because of: metrics /metrics"


@pytest.mark.timing
def test_wrong_receiver_behind_it(pair: Pair) -> None:
    """Everything is taken, and nothing is found: another console is asked."""
    with Console(grpc_port=0, http_port=0, api_port=0) as other:
        found = diagnose({**pair.places, "console": other.url}, pair.env, wait=4)
    assert found.failed == ["trace the console", "log the console", "metric the console"], found.text
    assert found.hop("trace")["detail"] == "no span of this trace within 4 s"
    assert found.hop("log")["detail"] == "no record of user-api at all within 4 s"
    assert 'service_name="user-api", export_mode="collector"' in found.hop("metric")["detail"]
    assert sum(hop["seconds"] for hop in found.report["hops"]) < 11  # they wait together


def test_command_exit_code_of_a_failure() -> None:
    ended = run_doctor("--service=http://127.0.0.1:1", "--console=http://127.0.0.1:1", TELEMETRY_MODE="off")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "\nIt stops at: configuration\n" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (["--tempo=tempo:3200"], {}, "doctor: --tempo: invalid URL 'tempo:3200'"),
        ([], {"TELEMETRY_LOKI_URL": "http://u:hush@/"}, "doctor: TELEMETRY_LOKI_URL: invalid URL 'http:///'"),
        (["--wait=0"], {}, "invalid value '0'; expected seconds above 0"),
        (["--path=users/1"], {}, "invalid value 'users/1'; expected a path that begins with /"),
    ],
)
def test_command_line_wrong(
    arguments: list[str],
    env: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "doctor", *arguments])
    errors = capsys.readouterr().err
    assert (ended.value.code, message in errors, "hush" in errors) == (2, True, False), errors


def test_command_interrupted(pair: Pair) -> None:
    """Ctrl-C while it waits."""
    with Console(grpc_port=0, http_port=0, api_port=0) as other:
        arguments = [f"--service={pair.places['service']}", f"--console={other.url}"]
        with subprocess.Popen(
            [sys.executable, "manage.py", "doctor", *arguments],
            cwd=ROOT,
            env={**os.environ, **pair.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            while not (line := process.stdout.readline()).startswith("ok          request"):
                assert line, "the doctor has ended"
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
            assert (process.returncode, errors) == (130, ""), output
