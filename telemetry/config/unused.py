"""Warnings for variables that are set without effect, because they are mistyped, unsupported or unused.

Only names are shown, as a mistyped variable may contain a secret.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches

from telemetry.config.instrumentations import DRIVERS
from telemetry.config.values import SIGNALS, Exporter, Mode, Signal
from telemetry.config.variables import (
    FIXED_CONVENTIONS,
    INSTRUMENTATION,
    LOG_BATCH,
    RESPONSE_HEADERS,
    SPAN_BATCH,
    VARIABLES,
    VIEW_NAMES,
)

OF_TOOLS = frozenset(
    {
        *(
            f"TELEMETRY_{name}_URL"
            for name in ("ALLOY", "CONSOLE", "GRAFANA", "JAEGER", "LOKI", "PROMETHEUS", "SERVICE", "TEMPO")
        ),
        "TELEMETRY_GRAFANA_PASSWORD",
        "TELEMETRY_GRAFANA_USER",
    }
)
"""Variables of the commands in `telemetry.tools`."""

_FAMILIES = ("OTEL_", "TELEMETRY_")
# Read by the API when it is imported.
_OF_THE_API = frozenset({"OTEL_PYTHON_CONTEXT"})
# Read by any instrumentation, so they have an effect if one runs at all.
_OF_INSTRUMENTATIONS = re.compile(r"OTEL_(?:PYTHON_EXCLUDED_URLS|INSTRUMENTATION_\w+)")
_OF_ONE = re.compile(r"OTEL_PYTHON_(?P<name>[A-Z0-9]+)_\w+")
_REASONS = (
    (r"OTEL_EXPORTER_PROMETHEUS_\w+", "/metrics is served at the service's own address"),
    (r"OTEL_EXPORTER_(ZIPKIN|JAEGER)_\w+", "only OTLP is supported"),
    (r"OTEL_\w+_CREDENTIAL_PROVIDER", "credentials are taken from OTEL_EXPORTER_OTLP_HEADERS"),
    (r"OTEL_PYTHON_LOG_(CORRELATION|FORMAT|LEVEL)", "log records carry their trace id anyway"),
    (r"OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "the pipeline's own metrics are always recorded"),
    (r"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "only what TELEMETRY_INSTRUMENT names runs"),
    (r"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "name the attributes in OTEL_RESOURCE_ATTRIBUTES"),
    (r"OTEL_EXPERIMENTAL_CONFIG_FILE", "its name is now OTEL_CONFIG_FILE"),
    (r"OTEL_SEMCONV_STABILITY_OPT_IN", "the stable conventions are always in use"),
)
_NATIVE = {RESPONSE_HEADERS.name, VIEW_NAMES.name}
_CLOSE = 0.84
_CLOSER = 0.92
_CLOSE_FAMILY = 0.72
_KUBERNETES = re.compile(r"(?P<service>\w+?)_(?:SERVICE_HOST|SERVICE_PORT\w*|PORT(?:_\d+_(?:TCP|UDP|SCTP)\w*)?)")


def known() -> set[str]:
    """Return all variables that are read."""
    names = {variable.name for variable in VARIABLES} | OF_TOOLS | _OF_THE_API
    return names | {v.for_signal(signal).name for v in VARIABLES if v.per_signal for signal in SIGNALS}


def unused(
    environ: Mapping[str, str],
    mode: Mode,
    exporters: Mapping[Signal, Exporter],
    instrumented: Collection[str],
    *,
    contrib: bool = False,
) -> list[str]:
    """Return a line for each variable in `environ` without effect; `instrumented` names the running instrumentations.

    With `contrib`, those of Django and the drivers run, too.
    """
    names = [name for name, value in environ.items() if value.strip()]
    if contrib:
        instrumented = {*instrumented, "django", *DRIVERS.values()}
    lines = [*_unknown(names, environ, instrumented)]
    lines += [
        f"{name} has no effect with {INSTRUMENTATION.name}=contrib" for name in names if contrib and name in _NATIVE
    ]
    if mode != "off":
        lines += _idle(set(names), exporters)
    return sorted(lines)


def _unknown(names: list[str], environ: Mapping[str, str], instrumented: Collection[str]) -> Iterator[str]:
    all_known = known()
    for name in names:
        if name in all_known or _is_of_kubernetes(name, environ):
            continue
        if name.startswith(_FAMILIES):
            if not _is_of_instrumentation(name, environ[name], instrumented):
                yield f"{name} has no effect{_why(name, all_known)}"
        elif name.upper() in all_known:
            yield f"{name} has no effect; did you mean {name.upper()}?"
        elif similar := _mistyped_family(name, all_known):
            yield f"{name} has no effect; did you mean {similar}?"


def _why(name: str, all_known: set[str]) -> str:
    reason = next((reason for pattern, reason in _REASONS if re.fullmatch(pattern, name)), None)
    if reason:
        return f": {reason}"
    of_one = _OF_ONE.fullmatch(name)
    similar = get_close_matches(name, sorted(all_known), n=1, cutoff=_CLOSER if of_one else _CLOSE)
    if similar:
        return f"; did you mean {similar[0]}?"
    if of_one is None:
        return ""
    return f": no instrumentation named {of_one['name'].lower()} runs (TELEMETRY_INSTRUMENT)"


def _is_of_instrumentation(name: str, value: str, instrumented: Collection[str]) -> bool:
    if name == FIXED_CONVENTIONS[0]:
        return value == FIXED_CONVENTIONS[1]
    if _OF_INSTRUMENTATIONS.fullmatch(name):
        return bool(instrumented)
    of_one = _OF_ONE.fullmatch(name)
    return of_one is not None and any(of_one["name"] == one.upper().replace("_", "") for one in instrumented)


def _mistyped_family(name: str, all_known: set[str]) -> str | None:
    """Return the variable that `name` resembles if its prefix is mistyped, too: OTLE_SERVICE_NAME."""
    beginning = name.partition("_")[0]
    if all(SequenceMatcher(None, beginning, each.strip("_")).ratio() < _CLOSE_FAMILY for each in _FAMILIES):
        return None
    return next(iter(get_close_matches(name, sorted(all_known), n=1, cutoff=_CLOSE)), None)


def _is_of_kubernetes(name: str, environ: Mapping[str, str]) -> bool:
    """Return whether Kubernetes set `name` for a Service such as `otel-collector`, as it does in every container."""
    found = _KUBERNETES.fullmatch(name)
    return found is not None and f"{found['service']}_SERVICE_HOST" in environ


def _idle(names: set[str], exporters: Mapping[Signal, Exporter]) -> Iterator[str]:
    """Yield a line for each known variable that applies only to an exporter not in use."""
    sent = [signal for signal in SIGNALS if exporters[signal] == "otlp"]
    for variable in (each for each in VARIABLES if each.per_signal):
        forms = {signal: variable.for_signal(signal).name for signal in SIGNALS}
        for signal, form in forms.items():
            if form in names and signal not in sent:
                yield f"{form} has no effect: {signal} are not exported by OTLP"
        if variable.name in names and all(forms[signal] in names for signal in sent):
            why = "each signal has its own" if sent else "nothing is exported by OTLP"
            yield f"{variable.name} has no effect: {why}"
    for signal, batch in (("traces", SPAN_BATCH), ("logs", LOG_BATCH)):
        if exporters[signal] == "none":
            for each in batch.names:
                if each in names:
                    yield f"{each} has no effect: {signal} are not exported"
