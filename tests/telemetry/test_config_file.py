"""OTEL_CONFIG_FILE: the file means what the specification says, and what cannot be done is refused by name."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from telemetry.config import ConfigError, TelemetryConfig
from telemetry.config.limits import DEFAULT_LIMITS
from tests.support.service import ROOT

Write = Callable[..., dict[str, str]]
EXPORTERS = ("otlp", "otlp", "otlp")
BATCH = "tracer_provider.processors[0].batch"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes a file, a text or a document, and returns the environment that names it."""

    def write(content: Any, name: str = "otel.yaml", **environ: str) -> dict[str, str]:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return {"OTEL_CONFIG_FILE": str(path), **environ}

    return write


def documented() -> str:
    """The file in the documents, which uses what can be read."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(file_format.*?)```", text, re.DOTALL)
    return str(block)


def traces(exporter: Any, **batch: Any) -> dict[str, Any]:
    processor = {"batch": {"exporter": exporter, **batch}}
    return {"file_format": "1.0", "tracer_provider": {"processors": [processor]}}


def metrics(reader: Any, **more: Any) -> dict[str, Any]:
    return {"file_format": "1.0", "meter_provider": {"readers": [reader], **more}}


def read(environ: dict[str, str]) -> TelemetryConfig:
    return TelemetryConfig.from_env(environ)


def errors(environ: dict[str, str]) -> list[str]:
    return [str(error) for error in TelemetryConfig.errors(environ)]


# --- What is read ---------------------------------------------------------------------------------------------------


def test_documented_file(write: Write) -> None:
    config = read(write(documented(), OTLP_TOKEN="abc", ENVIRONMENT="test"))
    assert config.warnings == ()
    assert (config.service_name, config.resource_attributes) == ("user-api", (("deployment.environment.name", "test"),))
    assert (config.traces.exporter, config.metrics.exporter, config.logs.exporter) == EXPORTERS
    assert (config.traces.endpoint, config.traces.protocol) == ("http://alloy:4318/v1/traces", "http/protobuf")
    assert config.traces.headers == (("authorization", "Bearer abc"),)
    assert (config.logs.endpoint, config.logs.protocol) == ("http://alloy:4317", "grpc")
    assert (config.sampler, config.sampler_arg) == ("parentbased_traceidratio", 0.1)
    assert config.propagators == ("tracecontext",)
    assert config.metric_export_interval == 15
    assert config.limits == replace(
        DEFAULT_LIMITS,
        **{f"{kind}attribute_length": 4096 for kind in ("", "span_", "log_")},
    )


def test_documented_file_is_valid_for_upstream(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own loader holds files against the schema of the specification."""
    monkeypatch.setenv("OTLP_TOKEN", "abc")
    # Imported by the process that runs this, not by each that collects tests: it takes seconds.
    from opentelemetry.configuration import load_config_file

    theirs = load_config_file(write(documented())["OTEL_CONFIG_FILE"])
    assert theirs.tracer_provider is not None
    assert theirs.tracer_provider.processors[0].batch is not None
    assert theirs.tracer_provider.processors[0].batch.schedule_delay == 500


def test_what_is_left_out_has_the_schema_s_default(write: Write) -> None:
    """Not ours, which the table of variables has."""
    config = read(write(traces({"otlp_grpc": None})))
    assert (config.metrics.exporter, config.logs.exporter, config.propagators) == ("none", "none", ())
    assert (config.traces.endpoint, config.traces.timeout) == ("http://localhost:4317", 10)
    assert (config.span_batch.schedule_delay, config.span_batch.export_timeout) == (5, 30)
    assert (config.span_batch.max_queue_size, config.most_waiting("traces")) == (2048, 2048)
    assert config.sampler == "parentbased_always_on"
    assert read(write(metrics({"periodic": {"exporter": {"otlp_http": {}}}}))).metric_export_interval == 60
    assert read(write(traces({"otlp_http": {}}))).traces.endpoint == "http://localhost:4318/v1/traces"
    assert not read(write({"file_format": "1.1"})).records


@pytest.mark.parametrize(
    ("sampler", "name", "share"),
    [
        ({"always_on": None}, "always_on", None),
        ({"always_off": {}}, "always_off", None),
        ({"trace_id_ratio_based": {"ratio": 0.25}}, "traceidratio", 0.25),
        ({"trace_id_ratio_based": None}, "traceidratio", 1.0),
        ({"parent_based": None}, "parentbased_always_on", None),
        ({"parent_based": {"root": {"always_off": None}}}, "parentbased_always_off", None),
        ({"parent_based": {"remote_parent_not_sampled": {"always_off": None}}}, "parentbased_always_on", None),
    ],
)
def test_samplers(write: Write, sampler: Any, name: str, share: float | None) -> None:
    document = traces({"console": None})
    document["tracer_provider"]["sampler"] = sampler
    config = read(write(document))
    assert (config.sampler, config.sampler_arg) == (name, share)


def test_limits(write: Write) -> None:
    document = traces({"console": None}) | {"attribute_limits": {"attribute_count_limit": 9}}
    document["tracer_provider"]["limits"] = {"event_count_limit": 1, "link_attribute_count_limit": 2}
    document["logger_provider"] = {"processors": [], "limits": {"attribute_value_length_limit": 3}}
    limits = read(write(document)).limits
    assert (limits.span_attribute_count, limits.span_event_count, limits.link_attribute_count) == (9, 1, 2)
    assert (limits.log_attribute_count, limits.log_attribute_length) == (9, 3)


def test_endpoint_without_a_scheme_is_encrypted(write: Write) -> None:
    """The schema: `insecure` is false unless it is given. In variables, ours is plaintext."""
    assert not read(write(traces({"otlp_grpc": {"endpoint": "tempo:4317"}}))).traces.insecure
    assert read(write(traces({"otlp_grpc": {"endpoint": "tempo:4317", "tls": {"insecure": True}}}))).traces.insecure


def test_single_headers_win(write: Write) -> None:
    exporter = {"headers_list": "a=1,b=2", "headers": [{"name": "B", "value": "x, y=%"}, {"name": "c", "value": None}]}
    assert read(write(traces({"otlp_http": exporter}))).traces.headers == (("a", "1"), ("b", "x, y=%"))


def test_metrics_on_demand(write: Write) -> None:
    document = metrics({"pull": {"exporter": {"prometheus/development": None}}}, exemplar_filter="always_off")
    config = read(write(document, TELEMETRY_MODE="direct"))
    assert (config.metrics.exporter, config.exemplar_filter) == ("prometheus", "always_off")
    (error,) = errors(write(document))
    assert error.startswith("OTEL_CONFIG_FILE: meter_provider.readers[0].pull.exporter.prometheus/development: ")


def test_disabled_and_log_level(write: Write) -> None:
    config = read(write({"file_format": "1.0", "disabled": True, "log_level": "warn2"}))
    assert (config.mode, config.log_level) == ("off", "warning")
    assert config.sources["mode"] == "OTEL_CONFIG_FILE: disabled"


def test_file_decides_alone(write: Write) -> None:
    environ = write(
        traces({"console": None}),
        OTEL_SERVICE_NAME="other",
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="nonsense://",
        OTEL_PYTHON_DJANGO_EXCLUDED_URLS="livez",
        TELEMETRY_PRIVACY="strict",
    )
    config = read(environ)
    assert (config.service_name, config.excluded_urls, config.privacy) == ("unknown_service", ("livez",), "strict")
    assert config.warnings == (
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT has no effect: OTEL_CONFIG_FILE is set",
        "OTEL_SERVICE_NAME has no effect: OTEL_CONFIG_FILE is set",
    )


# --- Variables in the file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${COUNT}", 42),
        ("${env:COUNT}", 42),
        ('"${COUNT}"', "42"),
        ("x${COUNT}", "x42"),
        ("${ABSENT:-7}", 7),
        ("${EMPTY:-7}", 7),
        ("${ABSENT}", None),
        ("$$${COUNT}", "$42"),
        ("$${COUNT}", "${COUNT}"),
        ("${INJECTED}", "a: b\nc: d"),
        ("plain", "plain"),
        ("5", 5),
        ("true", True),
        ("~", None),
    ],
)
def test_substitution(text: str, value: Any) -> None:
    from telemetry.config.yaml_file import load

    environ = {"COUNT": "42", "EMPTY": "", "INJECTED": "a: b\nc: d"}
    assert load(f"key: {text}  # ${{NOT_HERE}}", environ) == {"key": value}


def test_keys_are_not_substituted() -> None:
    from telemetry.config.yaml_file import load

    assert load("${A}: 1", {"A": "b"}) == {"${A}": 1}


# --- What is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"file_format": "1.0", "distribution": {}}, "distribution"),
        ({"file_format": "1.0", "instrumentation/development": {}}, "instrumentation/development"),
        ({"file_format": "1.0", "tracer_provder": {}}, "tracer_provder"),
        ({"file_format": "1.0", "resource": {"schema_url": "x"}}, "resource.schema_url"),
        ({"file_format": "1.0", "propagator": {"composite": [{"b3": None}]}}, "propagator.composite[0].b3"),
        ({"file_format": "1.0", "propagator": {"composite_list": "xray"}}, "propagator"),
        (traces({"otlp_file/development": {}}), f"{BATCH}.exporter.otlp_file/development"),
        (traces({"otlp_http": {"encoding": "json"}}), f"{BATCH}.exporter.otlp_http.encoding"),
        (traces({"otlp_http": {}, "console": {}}), f"{BATCH}.exporter"),
        (traces(None), f"{BATCH}.exporter"),
        (traces({"console": None}, max_queue_size="many"), f"{BATCH}.max_queue_size"),
        (traces({"console": None}, max_queue_size=True), f"{BATCH}.max_queue_size"),
        (traces({"console": None}, schedule_delay=-1), f"{BATCH}.schedule_delay"),
        (
            {"file_format": "1.0", "tracer_provider": {"processors": [{"simple": {"exporter": {"console": None}}}]}},
            "tracer_provider.processors[0].simple",
        ),
        (
            {"file_format": "1.0", "tracer_provider": {"processors": [{}, {}]}},
            "tracer_provider.processors",
        ),
        (
            {"file_format": "1.0", "tracer_provider": {"processors": [], "sampler": {"jaeger_remote/development": {}}}},
            "tracer_provider.sampler.jaeger_remote/development",
        ),
        (
            {
                "file_format": "1.0",
                "tracer_provider": {
                    "processors": [],
                    "sampler": {"parent_based": {"remote_parent_sampled": {"always_off": None}}},
                },
            },
            "tracer_provider.sampler.parent_based.remote_parent_sampled.always_off",
        ),
        (metrics({"periodic": {"exporter": {"console": {}}}}, views=[]), "meter_provider.views"),
        (
            metrics({"periodic": {"exporter": {"otlp_http": {"temporality_preference": "delta"}}}}),
            "meter_provider.readers[0].periodic.exporter.otlp_http.temporality_preference",
        ),
        ({"file_format": "0.4"}, "file_format"),
        ({"file_format": "2.0"}, "file_format"),
        ({}, "file_format"),
    ],
)
def test_refused_by_name(write: Write, document: Any, place: str) -> None:
    found = errors(write(document))
    assert any(error.startswith(f"OTEL_CONFIG_FILE: {place}: ") for error in found), found
    assert all(len(error.splitlines()) == 1 for error in found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "is not YAML or JSON in line 1"),
        ("file_format: '1.0'\nfile_format: '1.0'", "has a duplicate or non-string key in line 2"),
        ("a: ${1A}", "refers to a variable in a form other than ${NAME} or ${NAME:-default}"),
        ("a: ${A", "refers to a variable in a form other than ${NAME} or ${NAME:-default}"),
        ("a: &x [*x]", "is nested more than 32 levels deep"),
        ("a: !!python/object:os.system x", "is not YAML or JSON in line 1"),
        ("#" * (1 << 20) + "\n", "is larger than 1 MiB"),
    ],
)
def test_no_document(write: Write, text: str, reason: str) -> None:
    (first, *_) = errors(write(text))
    assert f" {reason}; expected the path of a readable file" in first


@pytest.mark.parametrize("document", ["- a list", "a text", "5"])
def test_document_of_another_kind(write: Write, document: str) -> None:
    assert any("expected a mapping" in error for error in errors(write(document)))


def test_file_that_is_not_there() -> None:
    (error,) = errors({"OTEL_CONFIG_FILE": "/does/not/exist.yaml"})
    assert error.startswith("OTEL_CONFIG_FILE: '/does/not/exist.yaml' does not exist; expected ")


def test_secrets_are_not_shown(write: Write) -> None:
    secret = "Bearer-of-a-secret"
    wrong = {"headers": [{"name": "authorization", "value": {secret: 1}}], "headers_list": f"{secret}\n"}
    found = errors(write(traces({"otlp_http": wrong})))
    assert found
    assert secret not in "".join(found)


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for kind, definition in schema["$defs"].items():
        for name in definition.get("properties", {}):
            yield kind, name


def test_every_name_that_is_read_is_the_specification_s() -> None:
    """A misspelled key would refuse what everybody else accepts."""
    import opentelemetry.configuration

    path = Path(str(opentelemetry.configuration.__file__)).with_name("schema.json")
    schema = json.loads(path.read_text(encoding="utf-8"))
    known = {name for _, name in properties(schema)} | set(schema["properties"])
    source = (ROOT / "telemetry" / "config" / "declarative.py").read_text(encoding="utf-8")
    call = r"\.(?:take|give|section|items|only|has)\(\s*\"([^\"]+)\""
    used = {name for name in re.findall(call, source) if not name.startswith("OTEL_")}
    assert len(used) > 30
    assert used <= known


def test_stops_the_start_with_one_line(write: Write) -> None:
    start = [sys.executable, "-c", "from telemetry.lifecycle import load_config; load_config()"]
    environ = {**os.environ, **write({"file_format": "1.0", "distribution": {}})}
    ended = subprocess.run(start, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert ended.stderr.startswith("telemetry: OTEL_CONFIG_FILE: distribution: 'distribution' is not supported")


def test_without_pyyaml(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match="needs PyYAML, which is not installed"):
        read(write(traces({"console": None})))


def test_json_is_read_too(write: Write) -> None:
    document = yaml.safe_load(documented().replace("${OTLP_TOKEN}", "t").replace("${ENVIRONMENT:-production}", "p"))
    assert read(write(document, "otel.json")).traces.headers == (("authorization", "Bearer t"),)
