"""The outcome of one OTLP request, in the same terms for both protocols.

The reasons are values of `error.type` in `otel.sdk.*`, so one alert serves both protocols and both modes:

- `rejected`: some items of an accepted request (OTLP's partial success)
- `refused`: the backend answered and did not accept the request, with any status
- `unavailable`: no connection, a broken one, or a status by which a gateway or backend is unavailable
- `timeout`: no answer in time; the backend may still have accepted the request
- `queue_full`: never sent, because the spool was full
- `already_shutdown`: dropped at stop
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

REJECTED = "rejected"
REFUSED = "refused"
UNAVAILABLE = "unavailable"
TIMEOUT = "timeout"
QUEUE_FULL = "queue_full"
AT_STOP = "already_shutdown"
OTHER = "_OTHER"

# The field of `partial_success` that counts the rejected items.
REJECTED_FIELDS = {"traces": "rejected_spans", "metrics": "rejected_data_points", "logs": "rejected_log_records"}

_LONGEST_DETAIL = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one request: accepted without a `reason`, except for `rejected` items.

    `detail` is a text for people, `hint` is what to check, `retryable` is whether the same request may succeed
    later, `retry_after` is the backend's Retry-After in seconds, and `attributes` go with the duration of the request.
    """

    reason: str | None = None
    detail: str = ""
    hint: str = ""
    rejected: int = 0
    retryable: bool = False
    retry_after: float | None = None
    attributes: Mapping[str, str | int] = field(default_factory=dict)


def shorten(text: str) -> str:
    """Return `text` as one printable line of limited length, for the log."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _LONGEST_DETAIL else f"{line[: _LONGEST_DETAIL - 3]}..."
