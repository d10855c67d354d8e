"""Any span and any log record that the SDK can hand to an exporter, and some that it should not."""

from typing import Any

from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

TEXTS = st.text(max_size=20) | st.sampled_from(["", "x" * 127, "x" * 128, "é" * 200, "x" * 20_000])
BAD = st.sampled_from([2**63, -(2**63) - 1, 2**200, object(), {1, 2}, [object()], {"a": object()}])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0, 1, -1, 1.0, -0.0, 127, 128, 2**63 - 1, -(2**63), float("inf"), float("nan")])
    | st.floats()
    | TEXTS
    | st.binary(max_size=20)
    | BAD,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(TEXTS | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
PLAIN = st.dictionaries(TEXTS, VALUES, max_size=6)


@st.composite
def bounded(draw: st.DrawFn) -> BoundedAttributes:
    """Attributes as the SDK keeps them, some of them dropped."""
    given: dict[str, Any] = draw(
        st.dictionaries(st.text(min_size=1, max_size=9), st.integers(0, 9) | TEXTS, max_size=5)
    )
    return BoundedAttributes(draw(st.integers(1, 9)), given, immutable=draw(st.booleans()))


ATTRIBUTES: st.SearchStrategy[Any] = st.none() | PLAIN | bounded()
NANOSECONDS = st.none() | st.integers(0, 2**64 - 1)
RESOURCE = Resource({"service.name": "x", "number": 5})
SCOPES = st.builds(
    InstrumentationScope,
    st.sampled_from(["", "one", "two"]),
    st.sampled_from(["", "1.0"]),
    st.sampled_from(["", "https://example.com/schema"]),
    st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9), max_size=2),
)
STATES = st.lists(st.tuples(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.just("x-y")), max_size=3).map(TraceState)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(0, 2**128 - 1),
    st.integers(0, 2**64 - 1),
    st.booleans(),
    st.integers(0, 255).map(TraceFlags),
    st.none() | STATES,
)
EVENTS = st.builds(Event, TEXTS, ATTRIBUTES, st.integers(0, 2**64 - 1))
LINKS = st.builds(Link, CONTEXTS, ATTRIBUTES)
STATUSES = (
    st.just(Status(StatusCode.UNSET))
    | st.just(Status(StatusCode.OK))
    | st.builds(Status, st.just(StatusCode.ERROR), st.none() | TEXTS)
)


def _few(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(items, max_size=3)
    return lists | lists.map(lambda some: BoundedList.from_seq(1, some) if some else BoundedList(1))


SPANS = st.builds(
    ReadableSpan,
    name=TEXTS,
    context=CONTEXTS,
    parent=st.none() | CONTEXTS,
    resource=st.just(RESOURCE),
    attributes=ATTRIBUTES,
    events=_few(EVENTS),
    links=_few(LINKS),
    kind=st.sampled_from(SpanKind),
    status=STATUSES,
    start_time=NANOSECONDS,
    end_time=NANOSECONDS,
    instrumentation_scope=SCOPES,
)


@st.composite
def _record(draw: st.DrawFn) -> Any:
    record: Any = LogRecord(severity_number=draw(st.none() | st.sampled_from(SeverityNumber)))
    record.timestamp = draw(NANOSECONDS)
    record.observed_timestamp = draw(NANOSECONDS)
    record.severity_text = draw(st.none() | TEXTS)
    record.body = draw(VALUES.filter(_encodable))
    record.attributes = draw(ATTRIBUTES)
    record.event_name = draw(st.none() | TEXTS)
    record.trace_id = draw(st.integers(0, 2**128 - 1))
    record.span_id = draw(st.integers(0, 2**64 - 1))
    record.trace_flags = TraceFlags(draw(st.integers(0, 255)))
    return record


def _encodable(value: object) -> bool:
    """Return whether the SDK's encoder takes `value` for a body: with one that it does not, it gives the batch up."""
    if isinstance(value, dict):
        return all(map(_encodable, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_encodable, value))
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, str | float | bytes)


RECORDS = st.builds(ReadableLogRecord, _record(), st.just(RESOURCE), SCOPES)
