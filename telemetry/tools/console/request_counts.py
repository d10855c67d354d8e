"""Requests by the metrics: increases of cumulative counters, across resets, restarts and late points."""

from __future__ import annotations

from collections import OrderedDict

#: The service's histogram of request durations, whose count is the number of requests.
OTLP_METRIC = "http.server.request.duration"
SCRAPED_FAMILY = "http_server_request_duration_seconds"
SCRAPED_SAMPLE = f"{SCRAPED_FAMILY}_count"

#: About 4 MB of them.
_TRACKED_SERIES = 10_000


class RequestCounts:
    """Turns values of cumulative series into gains.

    Remembers the last value of the most recently updated series, by a digest of what identifies them (bounded). Not
    thread-safe: the `Store` holds the lock.
    """

    def __init__(self, tracked_series: int = _TRACKED_SERIES) -> None:
        self._tracked = tracked_series
        self._last: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def knows(self, series: bytes) -> bool:
        """Whether there was a value of the series."""
        return series in self._last

    def gain(self, series: bytes, time_ns: int, count: int, *, resets: bool) -> int:
        """What the series has gained since its last value.

        A point that is older than the last one (a late retry) adds nothing. `resets` says that the series has no start
        time as part of its identity, so a value below the last one means that it began again at 0.
        """
        last_time, last_count = self._last.get(series, (0, 0))
        if time_ns < last_time:
            return 0
        self._last[series] = (time_ns, count)
        self._last.move_to_end(series)
        if len(self._last) > self._tracked:
            self._last.popitem(last=False)
        return count if resets and count < last_count else count - last_count
