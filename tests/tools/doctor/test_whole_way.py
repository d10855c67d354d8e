"""A real service and a real receiver, in both modes over both protocols: every hop is passed, and nothing is left."""

import json
from collections.abc import Callable
from urllib.request import Request, urlopen

from telemetry.tools.console.pages.modes import shown_modes
from telemetry.tools.console.server import Console
from tests.support.routes import PAIRS, ROUTES, Route
from tests.tools.doctor.conftest import SECRETS, Examined, Pair, diagnose, routes, run_doctor

KEYS = ["hop", "target", "state", "seconds", "detail", "remedy"]


@routes(*ROUTES)
def test_every_hop_passed(pair: Examined) -> None:
    """And the counts of the service hold one request: what the doctor sends is another service's, without a mode."""
    found = pair.first
    assert (found.passed, found.failed, found.report["mode"]) == (True, [], pair.env["TELEMETRY_MODE"]), found.text
    for name in ("trace", "log", "metric", "exemplar"):
        assert found.hop(name)["state"] == "ok", found.text
    assert "hush" not in found.text
    store = pair.console.store
    assert len(store.trace(found.report["trace_id"])) == 2  # the server span and its query
    assert pair.counts == (1, 2, 1, 1)
    assert pair.own_spans == [("telemetry.doctor", "internal", "unknown")]


@routes(*PAIRS)
def test_shell_without_variables_is_not_warned_about_them(pair: Pair) -> None:
    """What differs was not set, but for the token; and where each signal goes is shown in full."""
    found = diagnose(pair.places, {"METRICS_TOKEN": SECRETS["METRICS_TOKEN"]})
    configuration = found.hop("configuration")
    assert (found.passed, configuration["state"], configuration["remedy"]) == (True, "ok", None), found.text
    protocol = pair.env["OTEL_EXPORTER_OTLP_PROTOCOL"]
    logs = f"http://127.0.0.1:{pair.console.grpc_port if protocol == 'grpc' else pair.console.http_port}"
    assert f"{logs}{'' if protocol == 'grpc' else '/v1/logs'} ({protocol})" in configuration["detail"]


def test_doctor_leaves_no_mode_on_the_overview(pair: Pair) -> None:
    """But another sender without a mode does."""
    assert pair.diagnose().passed
    assert "unknown" in pair.console.store.totals()
    assert shown_modes(pair.console.store) == ["collector"]
    sent = {"scopeLogs": [{"logRecords": [{"body": {"stringValue": "hello"}, "timeUnixNano": "1"}]}]}
    doctor = {"attributes": [{"key": "service.name", "value": {"stringValue": "user-api-doctor"}}]}
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        for senders, modes in (([{"resource": doctor} | sent], []), ([sent], ["unknown"])):
            body = json.dumps({"resourceLogs": senders}).encode()
            headers = {"Content-Type": "application/json"}
            request = Request(f"http://127.0.0.1:{console.http_port}/v1/logs", body, headers)
            with urlopen(request) as answer:  # noqa: S310
                assert answer.status == 200
            assert shown_modes(console.store) == modes


@routes(PAIRS[1])
def test_command_json(pair: Pair) -> None:
    ended = run_doctor("--json", *(f"--{name}={url}" for name, url in pair.places.items()), **pair.env)
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert list(report) == ["passed", "stops_at", "mode", "service", "trace_id", "hops"]
    assert (report["passed"], report["stops_at"], report["service"]) == (True, None, pair.places["service"])
    assert all(list(hop) == KEYS for hop in report["hops"])
    assert {hop["state"] for hop in report["hops"]} == {"ok", "not checked"}
    assert all(isinstance(hop["seconds"], float) and hop["detail"] for hop in report["hops"])


def test_command_text(pair: Pair) -> None:
    """One line a hop with the time that it took, no control characters where there is no terminal.

    The places are those of the environment.
    """
    places = {f"TELEMETRY_{name.upper()}_URL": url for name, url in pair.places.items()}
    ended = run_doctor("--wait=30", **pair.env, **places)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("ok          configuration ")
    (trace,) = [line for line in lines if line.startswith("ok          trace the console ")]
    assert " s  2 spans, 'GET /users/{id}' of user-api, " in trace
    assert lines[-2] == "Every checked hop passed."
    assert "\x1b" not in ended.stdout


def test_trace_of_its_own(own_pair: Callable[..., Pair]) -> None:
    """Where the service begins its own traces, its answer has the id; of a few shares it is one that is kept."""
    sampling = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    examined = own_pair(Route("collector", "grpc"), TELEMETRY_INCOMING_CONTEXT="link", **sampling)
    found = examined.diagnose()
    assert found.passed, found.text
    assert "started by the service" in found.hop("request")["detail"]
    assert len(examined.console.store.trace(found.report["trace_id"])) == 2


def test_closed_service_behind_a_proxy(own_pair: Callable[..., Pair]) -> None:
    """The request is refused, and followed all the same; a sampler that keeps few keeps it."""
    env = {"USERAPI_OPEN_ACCESS": "false", "DJANGO_HTTPS": "true", "DJANGO_BEHIND_PROXY": "true"}
    sampling = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.001"}
    found = own_pair(Route("collector", "grpc"), **env, **sampling).diagnose()
    assert (found.passed, "HTTP 401" in found.hop("request")["detail"]) == (True, True), found.text


def test_shell_with_another_configuration(pair: Pair) -> None:
    """What the running service reports counts, the difference is shown, and headers stay with their own place."""
    elsewhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://nowhere.invalid:4317"}
    found = pair.diagnose(TELEMETRY_MODE="direct", **elsewhere)
    assert (found.passed, found.report["mode"]) == (True, "collector"), found.text
    assert "(TELEMETRY_MODE is collector there, direct here)" in found.hop("configuration")["remedy"]
    found = pair.diagnose(**elsewhere)
    assert found.passed, found.text
    configuration = found.hop("configuration")
    assert configuration["state"] == "warning"
    assert f"traces go to http://127.0.0.1:{pair.console.grpc_port} there" in configuration["remedy"]
