"""Translates the journal's records into spans, log records and measurements: redacted, encoded, counted."""

import logging
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from telemetry.config.limits import DEFAULT_LIMITS, LimitsConfig
from telemetry.exporting.encoding import (
    EventData,
    LinkData,
    LogData,
    ScopeData,
    SpanData,
    encode_body,
    encode_log,
    encode_plain_log,
    encode_plain_span,
    encode_rest,
    encode_scope_attributes,
    encode_span,
)
from telemetry.exporting.items import request_spans
from telemetry.exporting.items.batches import Batches
from telemetry.exporting.items.queries import CLIENT, Statements
from telemetry.exporting.items.redaction import Limited
from telemetry.exporting.items.scopes import REQUEST_DURATION, REQUESTS
from telemetry.exporting.metrics.aggregation import Aggregation, Series
from telemetry.exporting.metrics.own_metrics import LOG_CREATED, SPAN_STARTED
from telemetry.journal.records import LOG, MEASUREMENT, OBSERVATIONS, QUERY, REQUEST, SPAN, Instrument
from telemetry.privacy import Redactor

logger = logging.getLogger(__name__)

# Not the shared generator, which the project may seed: the exporter may be a thread of its process.
_getrandbits = Random().getrandbits  # noqa: S311  (ids are no secrets)
_SAMPLED = 1
_ERROR = 2
_SECOND = 1e-9
# https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
_SEVERITIES = {logging.WARNING: "WARN", logging.CRITICAL: "FATAL"}
_MOST_SERIES = 4096
_LATEST = 1 << 63  # nanoseconds
_LONGEST_KNOWN = 256  # characters of a cached body
_UNTOUCHED: tuple[Any, ...] = ("", None, {}, (), (), (0, 0, 0))


class Translator:
    """Adds the contents of records to `spans`, `logs` (None: not exported) and `aggregation`."""

    def __init__(
        self,
        *,
        redactor: Redactor,
        aggregation: Aggregation,
        spans: Batches | None,
        logs: Batches | None,
        methods: set[str],
        limits: LimitsConfig = DEFAULT_LIMITS,
    ) -> None:
        """The translator adds the requests' methods to `methods`."""
        self.errors = 0
        self._methods = methods
        self._redactor = redactor
        self._limited = Limited(redactor, limits)
        self._aggregation = aggregation
        self._spans = spans
        self._logs = logs
        self._statements = Statements(redactor, self._limited, aggregation)
        self._durations: dict[tuple[Any, ...], Series] = {}
        self._plain_requests: dict[tuple[Any, ...], bytes] = {}
        self._started: dict[tuple[str, bool], Series] = {}
        self._created = aggregation.series(LOG_CREATED, {})
        self._scopes: dict[str, ScopeData] = {}
        self._instruments: dict[Instrument, Instrument] = {}
        self._bodies: dict[tuple[str, str | None, int, str], bytes] = {}
        self._reported: set[str] = set()
        self._by_kind: dict[int, Callable[[tuple[Any, ...], Any], None]] = {
            REQUEST: self._request,
            QUERY: lambda record, _: self._query(record[1:], None),
            LOG: lambda record, _: self._log(record[1:], None),
            SPAN: self._span,
            MEASUREMENT: self._measurement,
            OBSERVATIONS: self._observations,
        }

    def translate(self, records: Iterable[tuple[Any, ...]], source: Any) -> None:
        """Translate `records` of the process `source`; count failures, and log the first of each kind."""
        for record in records:
            try:
                self._by_kind[record[0]](record, source)
            except Exception as error:
                self.errors += 1
                kind = type(error).__name__
                if kind not in self._reported:
                    self._reported.add(kind)
                    logger.exception("a record cannot be exported; further ones of this kind are only counted")

    def _request(self, record: tuple[Any, ...], _: Any) -> None:
        _kind, ids, start, duration, method, route, status, error, _environ, touched, queries, logs = record
        trace_id, span_id, _parent, flags, _remote = ids
        sampled = bool(flags & _SAMPLED)
        for log in logs:
            self._log(log, ids)
        for query in queries:
            self._query(query, ids)
        if status:
            key = method, route, status, error
            series = self._durations.get(key)
            if series is None:
                self._methods.add(method)
                attributes = {"http.request.method": method, **request_spans.answer(route, status, error)}
                series = self._remember(key, self._aggregation.series(REQUEST_DURATION, attributes))
            series.record(duration * _SECOND, start + duration, trace_id, span_id, sampled)
        self._count(ids, sampled)
        if sampled and self._spans is not None:
            if touched is None and self._limited.has_room:
                self._add_plain_request(record, self._spans)
            else:
                self._add_request(record)

    def _add_plain_request(self, record: tuple[Any, ...], spans: Batches) -> None:
        """Add the span of a request without changes by user code, most of which many requests share."""
        _kind, ids, start, duration, method, route, status, error, environ, *_ = record
        common, client_port, path = environ
        key = method, route, status, error, common
        rest = self._plain_requests.get(key)
        if rest is None:
            attributes = request_spans.start(method, (common, "", ""))
            attributes |= request_spans.answer(route, status, error)
            name = self._redactor.span_name(request_spans.name_of(method, route), attributes)
            encoded, given = self._limited.of_span(attributes)[0], request_spans.status_of(status, error, None)
            if len(self._plain_requests) >= _MOST_SERIES:
                self._plain_requests.clear()
            rest = self._plain_requests[key] = encode_rest(name, request_spans.SERVER, encoded, given)
        rest += self._limited.of_request(path, client_port, route)
        trace_id, span_id, parent, _flags, remote = ids
        spans.add(REQUESTS, encode_plain_span(trace_id, span_id, parent, start, start + duration, rest, remote=remote))

    def _add_request(self, record: tuple[Any, ...]) -> None:
        _kind, ids, start, duration, method, route, status, error, environ, touched, *_ = record
        name, given, added, events, links, dropped = touched or _UNTOUCHED
        attributes = {
            **request_spans.start(method, environ),
            **added,
            **request_spans.answer(route, status, error),
        }
        if route is not None or not name:  # as contrib's instrumentation renames spans at their end
            name = request_spans.name_of(method, route)
        given = request_spans.status_of(status, error, given)
        what = (request_spans.SERVER, start, start + duration, attributes, given, events, links, dropped)
        self._add_span(REQUESTS, ids, name, *what)

    def _remember(self, key: tuple[Any, ...], series: Series) -> Series:
        if len(self._durations) >= _MOST_SERIES:
            self._durations.clear()
        self._durations[key] = series
        return series

    def _count(self, ids: tuple[Any, ...], sampled: bool) -> None:
        """Count a started span."""
        origin = "none" if ids[2] is None else "remote" if ids[4] else "local"
        series = self._started.get((origin, sampled))
        if series is None:
            attributes = {
                "otel.span.parent.origin": origin,
                "otel.span.sampling_result": "RECORD_AND_SAMPLE" if sampled else "DROP",
            }
            series = self._started[origin, sampled] = self._aggregation.series(SPAN_STARTED, attributes)
        series.value += 1

    def _query(self, query: tuple[Any, ...], request: tuple[Any, ...] | None) -> None:
        database, text, start, duration, rows, error, ids, touched = query
        if ids is None and request is not None:
            ids = (request[0], b"", request[1], request[3], False)
        span_id = ids[1] or _getrandbits(64).to_bytes(8)
        sampled = bool(ids[3] & _SAMPLED)
        statement = self._statements.of(database, text)
        trace = start + duration, ids[0], span_id, sampled
        durations = self._statements.failed(statement, database[0], error[0]) if error else statement.duration
        durations.record(duration * _SECOND, *trace)
        if rows >= 0:
            self._statements.rows(statement, database[0]).record(rows, *trace)
        self._count(ids, sampled)
        if not sampled or self._spans is None:
            return
        if touched is None and error is None and not statement.dropped:
            span = encode_plain_span(ids[0], span_id, ids[2], start, start + duration, statement.rest, remote=ids[4])
            self._spans.add(statement.scope, span)
            return
        ids = (ids[0], span_id, *ids[2:])
        name, status, more, events, links, dropped = touched or _UNTOUCHED
        if error:
            short, kind, message, stack = error
            status = status or (_ERROR, f"{short}: {message}")
            exception = {
                "exception.type": kind,
                "exception.message": message,
                "exception.stacktrace": stack,
                "exception.escaped": "False",
            }
            events = (*events, (start + duration, "exception", exception, 0))
        attributes = {**statement.attributes, **more}
        what = (CLIENT, start, start + duration, attributes, status, events, links, dropped)
        self._add_span(statement.scope, ids, name or statement.name, *what)

    def _span(self, record: tuple[Any, ...], _: Any) -> None:
        _kind, scope, ids, name, *what = record
        self._count(ids, True)
        if self._spans is not None:
            name_, version, schema, attributes = scope or ("", "", "", {})
            redactor = self._redactor
            kept = encode_scope_attributes(redactor.attributes(attributes))
            texts = redactor.name(name_, constant=True), redactor.version(version), redactor.schema_url(schema)
            self._add_span(ScopeData(*texts, kept), ids, name, *what, vetted=True)

    def _add_span(  # noqa: PLR0917
        self,
        scope: ScopeData,
        ids: tuple[Any, ...],
        name: str,
        kind: int,
        start: int,
        end: int,
        attributes: Mapping[str, Any],
        status: tuple[int, str | None] | None,
        events: Iterable[tuple[Any, ...]],
        links: Iterable[tuple[Any, ...]],
        dropped: tuple[int, int, int],
        *,
        vetted: bool = False,
    ) -> None:
        """Add a span; `vetted`: the recording process has already checked its names."""
        redactor = self._redactor
        trace_id, span_id, parent_id, _flags, remote = ids
        kept, over = self._limited.of_span(attributes)
        limits = self._limited.limits
        events, links = tuple(events), tuple(links)
        past, unlinked = max(0, len(events) - limits.span_event_count), max(0, len(links) - limits.span_link_count)
        if status is not None and status[1]:
            status = status[0], redactor.description(status[1])
        span = SpanData(
            trace_id,
            span_id,
            parent_id,
            remote,
            "",
            redactor.span_name(name, attributes, constant=vetted),
            kind,
            start,
            end,
            kept,
            status,
            [self._event(event, vetted=vetted) for event in events[past:]],
            [self._link(link) for link in links[unlinked:]],
            (dropped[0] + over, dropped[1] + past, dropped[2] + unlinked),
        )
        if self._spans is not None:
            self._spans.add(scope, encode_span(span))

    def _event(self, event: tuple[Any, ...], *, vetted: bool) -> EventData:
        time, name, attributes, dropped = event
        named = self._redactor.name(name, constant=vetted or name == "exception")
        kept, over = self._limited.of_event(attributes)
        return EventData(time, named, kept, dropped + over)

    def _link(self, link: tuple[Any, ...]) -> LinkData:
        trace_id, span_id, remote, attributes, dropped = link
        kept, over = self._limited.of_link(attributes)
        return LinkData(trace_id, span_id, "", remote, kept, dropped + over)

    def _log(self, log: tuple[Any, ...], request: tuple[Any, ...] | None) -> None:
        name, time, number, level, body, template, attributes, context = log
        self._created.value += 1
        if self._logs is None:
            return
        if context is None and request is not None:
            context = request[0], request[1], request[3]
        redactor = self._redactor
        scope = self._scopes.get(name)
        if scope is None:
            if len(self._scopes) >= _MOST_SERIES:
                self._scopes.clear()
            scope = self._scopes[name] = ScopeData(redactor.name(name, constant=True))
        kept, over = self._limited.of_log(attributes) if attributes else (b"", 0)
        if context and not over and 0 <= time < _LATEST:
            key = body, template, number, level
            encoded = self._bodies.get(key) or self._body(key)
            trace_id, span_id, flags = context
            self._logs.add(scope, encode_plain_log(time, trace_id, span_id, flags & 255, encoded, kept))
            return
        trace_id, span_id, flags = context or (None, None, 0)
        severity, text = _SEVERITIES.get(number, level), redactor.body(body, template)
        log_data = LogData(
            time, time, _severity(number), severity, text, kept, trace_id, span_id, flags & 255, dropped=over
        )  # fmt: skip
        self._logs.add(scope, encode_log(log_data))

    def _body(self, key: tuple[str, str | None, int, str]) -> bytes:
        """Return body and severity of a log record, encoded; cached, as many recur."""
        body, template, number, level = key
        text = self._redactor.body(body, template)
        encoded = encode_body(text, _severity(number), _SEVERITIES.get(number, level))
        if len(body) <= _LONGEST_KNOWN:
            if len(self._bodies) >= _MOST_SERIES:
                self._bodies.clear()
            self._bodies[key] = encoded
        return encoded

    def _measurement(self, record: tuple[Any, ...], _: Any) -> None:
        _kind, instrument, value, attributes, *rest = record
        redacted = self._redactor.metric_attributes(attributes)
        self._aggregation.record(self._instrument(instrument), value, redacted, *rest)

    def _observations(self, record: tuple[Any, ...], _: Any) -> None:
        _kind, time, observed, process = record
        redact = self._redactor.metric_attributes
        redacted = (
            (self._instrument(instrument), [(value, redact(attributes)) for value, attributes in points])
            for instrument, points in observed
        )
        self._aggregation.observe_all(redacted, process, time)

    def _instrument(self, instrument: Instrument) -> Instrument:
        """Return an instrument of user code with its texts redacted."""
        if (known := self._instruments.get(instrument)) is not None:
            return known
        redactor = self._redactor
        kind, *texts, version, schema, bounds = instrument
        name, unit, description, scope = map(redactor.text, texts)
        version, schema = redactor.version(version), redactor.schema_url(schema)
        if len(self._instruments) >= _MOST_SERIES:
            self._instruments.clear()
        known = self._instruments[instrument] = kind, name, unit, description, scope, version, schema, bounds
        return known


def _severity(number: int) -> int:
    """Return OpenTelemetry's SeverityNumber of a logging level, as opentelemetry-instrumentation-logging does."""
    if number < logging.DEBUG:
        return 0
    level = min(number // 10, 5)
    return 4 * level + 1 + min(number - 10 * level, 3)
