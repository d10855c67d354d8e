"""`python -m telemetry.tools.compare.load.open_loop JOB`: requests at a fixed rate, regardless of earlier ones.

Why not Locust: its `constant_throughput` makes each user wait until its next turn, but a user that waits for an
answer misses its turns, and its response times begin when a request is sent, not when it was due. Both hide a stall
(https://www.scylladb.com/2021/04/22/on-coordinated-omission/). Here every request has a due time from the beginning,
threads take them in order, and the latency counts from the due time, even if all threads were busy.
"""

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from time import perf_counter, sleep, time
from typing import NamedTuple

from telemetry.tools.compare.load.generator import Done, Job, serve
from telemetry.tools.compare.load.mix import ANSWER_SECONDS, Mix, Request, is_right

_LEAD = 0.1


class _Outcome(NamedTuple):
    """Status (0: no answer), latency from the due time, start and end since the epoch, and how late it started."""

    status: int
    expected: int
    latency: float
    begin: float
    end: float
    late: float


def run(job: Job) -> Done:
    """Send all requests of the job; return when the last one has ended."""
    mix = Mix(job.users, job.given)
    start = perf_counter() + _LEAD

    def one(number: int) -> _Outcome:
        request = mix.request(number)
        due = start + number / job.rate
        sleep(max(0.0, due - perf_counter()))
        began, begin = perf_counter(), time()
        status = _send(job.port, request)
        return _Outcome(status, request.expected, perf_counter() - due, begin, time(), began - due)

    with ThreadPoolExecutor(job.clients) as clients:
        outcomes = list(clients.map(one, range(job.requests)))
    answered = [outcome for outcome in outcomes if is_right(outcome.status, outcome.expected)]
    wrong = Counter(
        str(outcome.status) for outcome in outcomes if outcome.status and not is_right(outcome.status, outcome.expected)
    )
    return Done(
        seconds=perf_counter() - start,
        answered=len(answered),
        wrong=dict(wrong),
        failed=sum(outcome.status == 0 for outcome in outcomes),
        latencies=[outcome.latency for outcome in answered],
        begins=[outcome.begin for outcome in outcomes],
        ends=[outcome.end for outcome in outcomes],
        late=max(outcome.late for outcome in outcomes),
        waits=[outcome.latency for outcome in outcomes],
        unanswered=[place for place, outcome in enumerate(outcomes) if outcome.status == 0],
    )


def _send(port: int, request: Request) -> int:
    """Send a request over a new connection; return the status, 0 without an answer."""
    client = HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    headers = {"Connection": "close"} | ({"Content-Type": "application/json"} if request.body else {})
    try:
        client.request(request.method, request.path, request.body.encode() or None, headers)
        response = client.getresponse()
        response.read()
    except (OSError, HTTPException):
        return 0
    finally:
        client.close()
    return response.status


if __name__ == "__main__":
    serve(sys.argv[1], run)
