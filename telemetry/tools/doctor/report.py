"""The results as one JSON object, for programs."""

from collections.abc import Sequence
from typing import Any

from telemetry.tools.doctor.walk import Result, State


def passed(results: Sequence[Result]) -> bool:
    """Whether no hop failed."""
    return all(result.state is not State.FAILED for result in results)


def as_data(results: Sequence[Result], *, mode: str, service: str, trace_id: str) -> dict[str, Any]:
    """Return all findings; `stops_at` is the first hop that failed, None if none did."""
    first = next((result for result in results if result.state is State.FAILED), None)
    return {
        "passed": passed(results),
        "stops_at": first and first.label,
        "mode": mode or None,
        "service": service or None,
        "trace_id": trace_id or None,
        "hops": [
            {
                "hop": result.hop,
                "target": result.target or None,
                "state": result.state.value,
                "seconds": round(result.seconds, 3),
                "detail": result.detail,
                "remedy": result.remedy or None,
            }
            for result in results
        ],
    }
