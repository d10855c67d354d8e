"""What a backend answered to one OTLP request, in the same few words whatever the protocol.

The words are the values of `error.type` in `otel.sdk.*`, so one alert serves both protocols and both modes:

- `rejected`: some items of an accepted request (OTLP's partial success)
- `refused`: the backend answered and did not take the request, whatever the status
- `unavailable`: no connection, a broken one, or a gateway or backend that says it cannot serve now
- `timeout`: no answer in time; the backend may have taken it nevertheless
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
    """The outcome of one request: taken if there is no `reason`, apart from `rejected` items.

    `detail` is for people, `hint` what they should check, `retryable` whether the same request may succeed later,
    `retry_after` the seconds that the backend asked for, and `attributes` go with the duration of the request.
    """

    reason: str | None = None
    detail: str = ""
    hint: str = ""
    rejected: int = 0
    retryable: bool = False
    retry_after: float | None = None
    attributes: Mapping[str, str | int] = field(default_factory=dict)


def shorten(text: str) -> str:
    """Return `text` fit for one line of a log."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _LONGEST_DETAIL else f"{line[: _LONGEST_DETAIL - 3]}..."
