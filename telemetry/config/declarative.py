"""OTEL_CONFIG_FILE: OpenTelemetry's declarative configuration, translated into the equivalent variables.

Only the file counts: standard variables have no effect, except for those that it refers to. Omitted values have the
schema's defaults, not ours. Unsupported values are refused by name.
https://opentelemetry.io/docs/specs/otel/configuration/data-model/
https://github.com/open-telemetry/opentelemetry-configuration/blob/main/schema-docs.md
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from telemetry.config import yaml_file
from telemetry.config.section import FILE, Section, Values
from telemetry.config.values import SIGNALS, ConfigError, RefusalError, Signal
from telemetry.config.variables import CONFIG_FILE, VARIABLES

_VERSION = re.compile(r"1\.\d{1,4}(-[a-z0-9.]+)?")
_LEVELS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "error": "error", "fatal": "error"}
_NUMBER = (int, float)


class Source(NamedTuple):
    """The variables that apply, and their origins."""

    environ: Mapping[str, str]
    origins: Mapping[str, str]
    """For each variable from the file, its path in the file."""
    replaced: tuple[str, ...] = ()
    """Variables of the environment that the file overrides."""
    errors: tuple[ConfigError, ...] = ()


def source_of(environ: Mapping[str, str]) -> Source:
    """Return `environ`, or the contents of the file that its OTEL_CONFIG_FILE names."""
    path = environ.get(FILE, "").strip()
    if not path:
        return Source(environ, {})
    values = Values()
    try:
        CONFIG_FILE.parse(path)
        document = yaml_file.load(Path(path).read_text(encoding="utf-8"), environ)
        _read(values, document)
    except RefusalError as error:
        values.errors.append(ConfigError(FILE, path, CONFIG_FILE.parse.accepted, str(error)))
    except (OSError, UnicodeDecodeError):
        values.errors.append(ConfigError(FILE, path, CONFIG_FILE.parse.accepted, "cannot be read as UTF-8"))
    standard = _standard()
    replaced = tuple(name for name, value in environ.items() if name in standard and value.strip())
    kept = {name: value for name, value in environ.items() if name not in standard}
    return Source({**kept, **values.texts}, values.origins, replaced, tuple(values.errors))


def _standard() -> set[str]:
    """Return the variables that a file overrides: the specification's, with all their forms."""
    found = [each for each in VARIABLES if each.name.startswith("OTEL_") and not each.name.startswith("OTEL_PYTHON_")]
    names = {each.name for each in found} - {FILE}
    return names | {each.for_signal(signal).name for each in found if each.per_signal for signal in SIGNALS}


def _read(values: Values, document: object) -> None:
    root = Section(values, "", document if document is not None else {})
    version = root.take("file_format", str)
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        values.refuse("file_format", version, '"1.0" and later versions that begin with "1."')
    root.give("disabled", bool, "OTEL_SDK_DISABLED")
    _log_level(root)
    _limits(root.section("attribute_limits"), "", {})
    _resource(root.section("resource"))
    _propagators(root)
    _traces(root)
    _metrics(root)
    _logs(root)
    root.end()


def _log_level(root: Section) -> None:
    level = root.take("log_level", str)
    if level is None:
        return
    word = level.rstrip("1234")
    if word not in _LEVELS or level.removeprefix(word) not in {"", "2", "3", "4"}:
        root.values.refuse("log_level", level, ", ".join(_LEVELS))
    else:
        root.values.give("OTEL_LOG_LEVEL", _LEVELS[word], "log_level")


def _limits(section: Section, prefix: str, more: Mapping[str, str]) -> None:
    section.give("attribute_value_length_limit", int, f"OTEL_{prefix}ATTRIBUTE_VALUE_LENGTH_LIMIT")
    section.give("attribute_count_limit", int, f"OTEL_{prefix}ATTRIBUTE_COUNT_LIMIT")
    for key, variable in more.items():
        section.give(key, int, variable)
    section.end()


def _resource(section: Section) -> None:
    parts = [section.take("attributes_list", str)]
    path = section.at("attributes")
    for attribute in section.items("attributes"):
        name, value = attribute.take("name", str), attribute.take("value", str)
        if attribute.take("type", str) not in {None, "string"}:
            section.values.refuse(attribute.at("type"), None, "string", "is not supported by this service")
        attribute.end()
        if name and value is not None:
            parts.append(f"{quote(name, safe='')}={quote(value, safe='')}")
    section.end()
    if any(parts):
        section.values.give("OTEL_RESOURCE_ATTRIBUTES", ",".join(filter(None, parts)), path)


def _propagators(root: Section) -> None:
    section = root.section("propagator")
    names: list[str] = []
    for entry in section.items("composite"):
        names += [name for name in _PROPAGATORS if entry.has(name)]
        entry.choice(dict.fromkeys(_PROPAGATORS, Section.end))
    listed = section.take("composite_list", str) or ""
    section.end()
    names += [name.strip() for name in listed.split(",") if name.strip()]
    path = "propagator" if names else ""
    root.values.give("OTEL_PROPAGATORS", ",".join(dict.fromkeys(names)) or "none", path)


_PROPAGATORS = ("tracecontext", "baggage")


def _traces(root: Section) -> None:
    given = root.has("tracer_provider")
    section = root.section("tracer_provider")
    _processor(section, "traces", "OTEL_BSP", "5000", given=given)
    limits = {f"{kind}_count_limit": f"OTEL_SPAN_{kind.upper()}_COUNT_LIMIT" for kind in ("event", "link")}
    own = {f"{kind}_attribute_count_limit": f"OTEL_{kind.upper()}_ATTRIBUTE_COUNT_LIMIT" for kind in ("event", "link")}
    _limits(section.section("limits"), "SPAN_", limits | own)
    if section.has("sampler"):
        _sampler(section.section("sampler"), "")
    else:
        section.values.give("OTEL_TRACES_SAMPLER", "parentbased_always_on")
    section.end()


def _sampler(section: Section, prefix: str) -> None:
    def named(name: str, each: Section) -> None:
        section.values.give("OTEL_TRACES_SAMPLER", f"{prefix}{name}", each.path)
        each.end()

    def ratio(each: Section) -> None:
        each.give("ratio", _NUMBER, "OTEL_TRACES_SAMPLER_ARG", "1.0")
        named("traceidratio", each)

    def parent(each: Section) -> None:
        for key, usual in _OF_PARENTS.items():
            if each.has(key):
                each.section(key).choice({usual: Section.end})
        if each.has("root"):
            _sampler(each.section("root"), "parentbased_")
        else:
            section.values.give("OTEL_TRACES_SAMPLER", "parentbased_always_on", each.path)
        each.end()

    readers: dict[str, Callable[[Section], None]] = {name: partial(named, name) for name in ("always_on", "always_off")}
    readers["trace_id_ratio_based"] = ratio
    if not prefix:
        readers["parent_based"] = parent
    section.choice(readers)


_OF_PARENTS = {
    "remote_parent_sampled": "always_on",
    "remote_parent_not_sampled": "always_off",
    "local_parent_sampled": "always_on",
    "local_parent_not_sampled": "always_off",
}


def _logs(root: Section) -> None:
    given = root.has("logger_provider")
    section = root.section("logger_provider")
    _processor(section, "logs", "OTEL_BLRP", "1000", given=given)
    _limits(section.section("limits"), "LOGRECORD_", {})
    section.end()


def _processor(section: Section, signal: Signal, prefix: str, delay: str, *, given: bool) -> None:
    def batch(each: Section) -> None:
        each.give("schedule_delay", int, f"{prefix}_SCHEDULE_DELAY", delay)
        each.give("export_timeout", int, f"{prefix}_EXPORT_TIMEOUT", "30000")
        each.give("max_queue_size", int, f"{prefix}_MAX_QUEUE_SIZE", "2048")
        each.give("max_export_batch_size", int, f"{prefix}_MAX_EXPORT_BATCH_SIZE", "512")
        _exporter(each.section("exporter"), signal)
        each.end()

    processor = section.only("processors")
    if processor is None:
        section.values.give(f"OTEL_{signal.upper()}_EXPORTER", "none", section.path if given else "")
    else:
        processor.choice({"batch": batch})


def _metrics(root: Section) -> None:
    given = root.has("meter_provider")
    section = root.section("meter_provider")

    def periodic(each: Section) -> None:
        each.give("interval", int, "OTEL_METRIC_EXPORT_INTERVAL", "60000")
        interval = section.values.texts["OTEL_METRIC_EXPORT_INTERVAL"]
        each.give("timeout", int, "OTEL_METRIC_EXPORT_TIMEOUT", min(interval, "30000", key=_milliseconds))
        _exporter(each.section("exporter"), "metrics")
        each.end()

    def pull(each: Section) -> None:
        exporter = each.section("exporter")
        exporter.choice({"prometheus/development": prometheus})
        each.end()

    def prometheus(each: Section) -> None:
        section.values.give("OTEL_METRICS_EXPORTER", "prometheus", each.path)
        each.end()

    reader = section.only("readers")
    if reader is None:
        section.values.give("OTEL_METRICS_EXPORTER", "none", section.path if given else "")
    else:
        reader.choice({"periodic": periodic, "pull": pull})
    section.give("exemplar_filter", str, "OTEL_METRICS_EXEMPLAR_FILTER")
    section.end()


def _milliseconds(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0


def _exporter(section: Section, signal: Signal) -> None:
    prefix = f"OTEL_EXPORTER_OTLP_{signal.upper()}"

    def console(each: Section) -> None:
        section.values.give(f"OTEL_{signal.upper()}_EXPORTER", "console", each.path)
        each.end()

    def otlp(each: Section, protocol: str, default: str) -> None:
        values = section.values
        values.give(f"OTEL_{signal.upper()}_EXPORTER", "otlp", each.path)
        values.give(f"{prefix}_PROTOCOL", protocol, each.path)
        each.give("endpoint", str, f"{prefix}_ENDPOINT", default)
        tls = each.section("tls")
        tls.give("ca_file", str, f"{prefix}_CERTIFICATE")
        tls.give("key_file", str, f"{prefix}_CLIENT_KEY")
        tls.give("cert_file", str, f"{prefix}_CLIENT_CERTIFICATE")
        if protocol == "grpc":
            schemeless = "://" not in values.texts[f"{prefix}_ENDPOINT"]
            tls.give("insecure", bool, f"{prefix}_INSECURE", "false" if schemeless else None)
        tls.end()
        _headers(each, f"{prefix}_HEADERS")
        each.give("compression", str, f"{prefix}_COMPRESSION")
        each.give("timeout", int, f"{prefix}_TIMEOUT", "10000")
        if protocol != "grpc" and each.take("encoding", str) not in {None, "protobuf"}:
            values.refuse(each.at("encoding"), "json", "protobuf", "is not supported by this service")
        if signal == "metrics":
            each.give("temporality_preference", str, f"{prefix}_TEMPORALITY_PREFERENCE")
            each.give("default_histogram_aggregation", str, f"{prefix}_DEFAULT_HISTOGRAM_AGGREGATION")
        each.end()

    section.choice(
        {
            "otlp_http": lambda each: otlp(each, "http/protobuf", f"http://localhost:4318/v1/{signal}"),
            "otlp_grpc": lambda each: otlp(each, "grpc", "http://localhost:4317"),
            "console": console,
        }
    )


def _headers(exporter: Section, variable: str) -> None:
    parts = [exporter.take("headers_list", str)]
    for header in exporter.items("headers"):
        name, value = header.take("name", str), header.take("value", str)
        header.end()
        if name and value is not None:
            parts.append(f"{name}={quote(value, safe='')}")
    if any(parts):
        exporter.values.give(variable, ",".join(filter(None, parts)), exporter.at("headers"))
