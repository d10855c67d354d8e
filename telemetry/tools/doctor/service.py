"""The running service: whether it answers, what it reports of its telemetry, `/metrics`, and a request to follow."""

import json
import secrets
from dataclasses import dataclass, replace
from time import time
from typing import Any, ClassVar

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

from telemetry.config import TelemetryConfig
from telemetry.recording.sampling import build_sampler
from telemetry.tools.backends import Backend
from telemetry.tools.backends.http import Answer
from telemetry.tools.doctor.configuration import Running, metrics_path
from telemetry.tools.doctor.walk import Finding, HopError, State

#: Reads one record that does not exist: a request with a route, a query and a problem document, that writes nothing.
PATH = "/users/00000000-0000-0000-0000-000000000000"

_ANY = tuple(range(300, 600))
_NOT_FOUND, _UNAUTHORIZED, _UNAVAILABLE = 404, 401, 503
_REDIRECTS = range(300, 400)
_SERVER_ERROR = 500
_ATTEMPTS = 20


class Service(Backend):
    """The service that is examined."""

    name: ClassVar[str] = "the service"
    variable: ClassVar[str] = "TELEMETRY_SERVICE_URL"
    default_url: ClassVar[str] = "http://127.0.0.1:8080"
    ready_path: ClassVar[str] = "/readyz"


@dataclass(frozen=True, slots=True)
class Followed:
    """The request that is followed. `moment` is when it was sent, in seconds since the epoch."""

    trace_id: str
    status: int
    moment: float
    ours: bool
    """Whether the trace has the id that the doctor sent."""
    recorded: bool
    """Whether the sampler of the configuration records it."""


def alive(service: Service) -> Finding:
    """Ask `/livez`."""
    service.get("/livez")
    return Finding(f"{service.base} answers")


def ready(service: Service) -> Finding:
    """Ask `/readyz`, which checks the database."""
    answer = service.get("/readyz", accepted=(_UNAVAILABLE,))
    if answer.status == _UNAVAILABLE:
        errors = service.decode(answer).get("errors", {})
        reasons = "; ".join(f"{part}: {' '.join(map(str, texts))}" for part, texts in errors.items())
        raise HopError(f"not ready: {reasons}", "see DATABASE_URL and run manage.py migrate")
    return Finding("the database answers")


def own_status(running: Running | None) -> Finding:
    """Return what the service reports about its exports."""
    if running is None:
        return Finding(
            "its own status cannot be read from here; this shell's environment is assumed to be its configuration",
            State.WARNING,
            "run the doctor as the service's user, in its container and from its directory",
        )
    failing = [
        f"{signal} to {reported['destination']}: {_last_error(reported)}"
        for signal, reported in running.signals.items()
        if reported.get("failing")
    ]
    name = f"{running.service_name} {running.version}".strip()
    if failing:
        return Finding(f"{name} fails to export {'; '.join(failing)}", State.WARNING, "the next hops show why")
    return Finding(f"{name}, mode {running.mode}: no failing exports")


def _last_error(reported: Any) -> str:
    error = reported.get("last_error") or {}
    return f"{error.get('reason', 'failing')} {error.get('detail', '')}".strip()


def exposition(service: Service, config: TelemetryConfig, token_advice: str) -> Finding:
    """Request the metrics as Prometheus would; `token_advice` is how to give the token to the scraper."""
    headers = {"Accept": "application/openmetrics-text"}
    if config.metrics_token:
        headers["Authorization"] = f"Bearer {config.metrics_token}"
    answer = replace(service, headers=headers).get(metrics_path(), accepted=_ANY)
    remedies = {
        _NOT_FOUND: "start the service with TELEMETRY_MODE=direct and OTEL_METRICS_EXPORTER unset or prometheus",
        _UNAUTHORIZED: f"set the service's METRICS_TOKEN in this shell, and {token_advice}",
    }
    if answer.status in _ANY:
        raise HopError(f"HTTP {answer.status}", remedies.get(answer.status, "see the service's log"))
    series = sum(bool(line) and not line.startswith("#") for line in answer.text.splitlines())
    return Finding(f"{series} samples of all workers")


def follow(service: Service, path: str, config: TelemetryConfig) -> Followed:
    """Send a request with a trace id of its own; return the resulting trace.

    If the service starts traces itself (TELEMETRY_INCOMING_CONTEXT is not `trust`), the answer has the id. The request
    is repeated, up to 20 times, while the sampler drops its trace.
    """
    sampler = build_sampler(config)
    for _ in range(_ATTEMPTS):
        parent = _parent()
        answer, moment = _ask(service, path, parent)
        trace_id, ours = _trace_of(service, answer, format_trace_id(parent.trace_id), config)
        context = set_span_in_context(NonRecordingSpan(parent), Context()) if ours else Context()
        recorded = sampler.should_sample(context, int(trace_id, 16), "GET").decision is not Decision.DROP
        followed = Followed(trace_id, answer.status, moment, ours, recorded)
        if recorded or ours:  # every ratio keeps the id that was sent
            break
    return followed


def _parent() -> SpanContext:
    # A low lower half is recorded at every ratio above 0; the upper half is random.
    trace_id = (secrets.randbits(64) | 1) << 64 | secrets.randbits(16) | 1
    return SpanContext(trace_id, secrets.randbits(64) | 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _ask(service: Service, path: str, parent: SpanContext) -> tuple[Answer, float]:
    headers = {"traceparent": f"00-{format_trace_id(parent.trace_id)}-{format_span_id(parent.span_id)}-01"}
    moment = time()
    answer = replace(service, headers=headers).get(path, accepted=_ANY)
    if answer.status in _REDIRECTS:
        # A proxy sets this header for a client that came by HTTPS.
        moment = time()
        answer = replace(service, headers={**headers, "X-Forwarded-Proto": "https"}).get(path, accepted=_ANY)
    if answer.status in _REDIRECTS:
        raise HopError(
            f"HTTP {answer.status}: it requires HTTPS",
            f"use the https:// address ({Service.variable}, --service), or set DJANGO_HTTPS=false on loopback",
        )
    return answer, moment


def _trace_of(service: Service, answer: Answer, ours: str, config: TelemetryConfig) -> tuple[str, bool]:
    """Return the id of the request's trace, and whether it is the one that was sent."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if isinstance(document, dict) and document.get("status") == answer.status:  # a problem (RFC 9457)
        trace_id = str(document.get("trace_id", ""))
        if not trace_id:
            raise HopError(
                f"HTTP {answer.status} without a trace id: its telemetry is off or did not start",
                "set TELEMETRY_MODE=collector or direct for the service, and see its log",
            )
        return trace_id, trace_id == ours
    if config.incoming_context == "trust":
        return ours, True
    raise HopError(
        f"HTTP {answer.status} without a trace id (TELEMETRY_INCOMING_CONTEXT is {config.incoming_context})",
        f"choose a --path that {service.base} answers with a problem document, such as {PATH}",
    )


def request(path: str, followed: Followed) -> Finding:
    """Report the request's outcome."""
    whose = "" if followed.ours else ", started by the service (TELEMETRY_INCOMING_CONTEXT is link or ignore)"
    detail = f"GET {path}: HTTP {followed.status}, trace {followed.trace_id}{whose}"
    if followed.status >= _SERVER_ERROR:
        return Finding(detail, State.WARNING, "it failed: see the service's log")
    return Finding(detail)
