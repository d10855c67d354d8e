"""What a request costs the exporter: its record read, counted, redacted and encoded.

    python -m tests.benchmarks.translation

Prints the CPU time of a request with one query and one log record, in microseconds, for each of several rounds.
"""

from argparse import ArgumentParser
from marshal import dumps, loads
from random import getrandbits
from time import process_time, time_ns
from typing import Any
from uuid import UUID

from telemetry.exporting.items.batches import Batches
from telemetry.exporting.items.translation import Translator
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.views import Views
from telemetry.journal.records import REQUEST, SEPARATOR
from telemetry.journal.ring import MARSHAL
from telemetry.privacy import redactor

QUERY = 'SELECT "users_user"."id", "users_user"."name" FROM "users_user" WHERE "users_user"."id" = %s LIMIT 21'
AT_ONCE = 50


def record(number: int) -> tuple[Any, ...]:
    """Return a record as the middleware writes it; path, port and duration differ from request to request."""
    ids, now, path = getrandbits(192).to_bytes(24), time_ns(), f"/users/{UUID(int=getrandbits(128))}"
    port = str(40_000 + number % 20_000)
    common = "localhost", "8080", "GET", "", "127.0.0.1", "curl/8", "8080", "HTTP/1.1", "http"
    environ = SEPARATOR.join(common), port, path
    query = ("sqlite", None, None, None), QUERY, now, 123_456, -1, None, None, None
    attributes = {"http.request.method": "GET", "http.route": "/users/{id}", "http.response.status_code": 200}
    attributes["http.server.request.duration"] = 0.002 + number * 1e-7
    log = "userapi.access", now, 20, "INFO", "GET /users/{id} 200", "%s %s %d", attributes, None
    context = ids[:16], ids[16:], None, 3, False
    known = "GET", "/users/{id}", 200, None
    return (REQUEST, context, now, 2_345_678, *known, environ, None, [query], [log])


def prepared() -> tuple[Translator, list[Batches]]:
    """Return a translator, and what it fills: spans and log records."""
    filled = [Batches("traces", {}, 512), Batches("logs", {}, 512)]
    aggregation = Aggregation(Views({}))
    spans, logs = filled
    return Translator(redactor=redactor(), aggregation=aggregation, spans=spans, logs=logs, methods=set()), filled


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    translator, filled = prepared()
    written = [dumps(record(number), MARSHAL) for number in range(options.requests)]
    for _ in range(options.rounds):
        started = process_time()
        for first in range(0, len(written), AT_ONCE):
            translator.translate([loads(data) for data in written[first : first + AT_ONCE]], None)  # noqa: S302
        spent = process_time() - started
        sent = sum(items for batches in filled for _, items in batches.take())
        if translator.errors or sent != 3 * len(written):
            raise SystemExit(f"{sent} of {3 * len(written)} items, {translator.errors} errors")
        print(f"{spent / len(written) * 1e6:.1f} us a request")


if __name__ == "__main__":
    main()
