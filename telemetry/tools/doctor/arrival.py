"""Whether the request arrived: its trace, its log record, its count and its exemplar."""

from collections.abc import Sequence
from time import time
from urllib.parse import urlsplit

from telemetry.config import TelemetryConfig
from telemetry.tools.doctor.collector import FILE as ALLOY_FILE
from telemetry.tools.doctor.configuration import metrics_path
from telemetry.tools.doctor.service import Followed, Service
from telemetry.tools.doctor.stores import PROMETHEUS_FILE, LogStore, MetricStore, Scraped, Series, Span, TraceStore
from telemetry.tools.doctor.walk import Finding, HopError, State, Walk


def trace(store: TraceStore, followed: Followed, config: TelemetryConfig, walk: Walk) -> Finding:
    """Wait for the request's server span."""
    sampler = config.sources.get("sampler", "OTEL_TRACES_SAMPLER").replace("default", "OTEL_TRACES_SAMPLER")
    if not followed.recorded:
        share = "" if config.sampler_arg is None else f" {config.sampler_arg:g}"
        raise HopError(
            f"sampled out: {config.sampler}{share} does not record it",
            f"set {sampler} to a sampler that records some traces (always_on records all)",
        )

    def server() -> Sequence[Span] | None:
        spans = store.spans(followed.trace_id)
        return spans if any(span.kind.lower() == "server" for span in spans) else None

    found = walk.until(server)
    if not found:
        partly = store.spans(followed.trace_id)
        found_spans = f"{len(partly)} spans of this trace, but no server span" if partly else "no span of this trace"
        raise HopError(
            f"{found_spans} within {walk.wait:g} s",
            f"see {store.label}'s log; check that {sampler} of the running service samples it{_tail(store, config)}",
        )
    root = next(span for span in found if span.kind.lower() == "server")
    detail = f"{len(found)} spans, {root.name!r} of {root.service}{_after(followed)}"
    if root.mode and root.mode != config.mode:
        return Finding(
            f"{detail}, from mode {root.mode}",
            State.WARNING,
            f"the service at this address runs in mode {root.mode}: set TELEMETRY_MODE to that in this shell",
        )
    return Finding(detail)


def log(store: LogStore, followed: Followed, config: TelemetryConfig, walk: Walk) -> Finding:
    """Wait for a log record of the request."""
    found = walk.until(lambda: store.of_trace(followed.trace_id, followed.moment))
    if found:
        return Finding(f"{found} {'record' if found == 1 else 'records'} of this trace{_after(followed)}")
    if recent := store.recent():
        raise HopError(
            f"records of {config.service_name} in the last minutes: {recent}, but none of this trace within "
            f"{walk.wait:g} s",
            store.advice.other_trace,
        )
    raise HopError(f"no record of {config.service_name} at all within {walk.wait:g} s", store.advice.no_record)


def scrape(store: MetricStore, service: Service, config: TelemetryConfig, walk: Walk) -> Finding:
    """Wait until the service is a scrape target that is up."""
    found: list[Scraped] = []

    def up() -> Scraped | None:
        found[:] = _likely(store.targets(), service, config.service_name)
        return next((target for target in found if target.up), None)

    target = walk.until(up)
    if target:
        return Finding(f"{target.url} is scraped")
    if not found:
        remedy = store.advice.target.format(url=f"{service.base}{metrics_path()}")
        raise HopError(f"no scrape target matches {service.base}", remedy)
    remedies = {
        "401": store.advice.token,
        "404": "set TELEMETRY_MODE=direct for the service",
        "refused": f"correct the host and port {store.advice.address}",
        "no such host": f"correct the name {store.advice.address}",  # Prometheus'; those of Python are the console's
        "Name or service not known": f"correct the name {store.advice.address}",
        "name resolution": f"correct the name {store.advice.address}",
    }
    error = found[0].error or "not scraped yet"
    remedy = next((remedy for sign, remedy in remedies.items() if sign in error), "see the error")
    raise HopError(f"{found[0].url} is down: {error}", remedy)


def _likely(targets: list[Scraped], service: Service, name: str) -> list[Scraped]:
    """Return the targets that could be the service: at its address, else by its name, else at its port."""
    wanted = urlsplit(service.base)
    found = []
    for target in targets:
        parts = urlsplit(target.url)
        if parts.path == metrics_path() and (parts.netloc == wanted.netloc or name in (parts.hostname or "")):
            found.append(target)
    if found:
        return found
    places = [(one, urlsplit(one.url)) for one in targets]
    return [one for one, place in places if (place.port, place.path) == (wanted.port, metrics_path())]


def sample(store: MetricStore, before: Series, followed: Followed, config: TelemetryConfig, walk: Walk) -> Finding:
    """Wait until the count of requests has changed."""
    pushed = config.metrics.exporter == "otlp"
    if pushed:
        store.check_pushed()
    latest: Series = {}

    def changed() -> bool:
        nonlocal latest
        latest = store.requests()
        return any(before.get(series) != value for series, value in latest.items())

    if walk.until(changed):
        total = sum(latest.values())
        return Finding(f"{total:.0f} requests counted, {len(latest)} series{_after(followed)}")
    if store.left_out:
        return _uncertain(store)
    if latest:
        interval = "OTEL_METRIC_EXPORT_INTERVAL" if pushed else store.advice.interval
        raise HopError(
            f"its request counts did not change within {walk.wait:g} s",
            f"check that --wait is longer than {interval}, and see {store.label}'s log",
        )
    wanted = f'service_name="{config.service_name}", export_mode="{config.mode}"'
    raise HopError(
        f"no request counted with {wanted} within {walk.wait:g} s",
        store.advice.no_count.format(file=ALLOY_FILE if pushed else PROMETHEUS_FILE),
    )


def exemplar(store: MetricStore, followed: Followed, config: TelemetryConfig, walk: Walk) -> Finding:
    """Wait for an exemplar that links to the request's trace, or to that of a later one."""
    store.check_exemplars()
    found = walk.until(lambda: store.exemplars(followed.moment))
    if not found:
        if store.left_out:
            return _uncertain(store)
        pushed = config.metrics.exporter == "otlp"
        needed = store.advice.pushed_exemplar if pushed else store.advice.scraped_exemplar
        raise HopError(
            f"no exemplar since the request within {walk.wait:g} s",
            f"set OTEL_METRICS_EXEMPLAR_FILTER=trace_based for the service{needed}",
        )
    if followed.trace_id in found:
        return Finding("one links to the trace of the request")
    # A bucket keeps one exemplar.
    return Finding("one links to the trace of a later request, which replaced it")


def _uncertain(store: MetricStore) -> Finding:
    detail = f"cannot tell: {store.label} left {store.left_out} of its series out"
    return Finding(detail, State.WARNING, "see the console's page /metrics")


def _tail(store: TraceStore, config: TelemetryConfig) -> str:
    """Return the part of a remedy about the collector, if there is one that may sample."""
    if config.mode != "collector" or store.advice.keeps_all:
        return ""
    return f", and that tail sampling does not drop it ({ALLOY_FILE})"


def _after(followed: Followed) -> str:
    return f", {max(time() - followed.moment, 0):.1f} s after the request"
