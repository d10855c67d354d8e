"""A plain HTTP client for local services, and one that counts its requests."""

import http.client
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `body` is the decoded JSON object, empty if there is none."""

    status: int
    body: dict[str, Any]


def call(port: int, method: str, path: str, body: Any = None, timeout: float = 10.0, *, host: str = HOST) -> Answer:
    """Send one request over a new connection; raises OSError if there is no answer."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    headers = {"Connection": "close", "User-Agent": "user-api-demo"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
    except http.client.HTTPException as error:
        raise OSError(f"no complete answer: {error!r}") from error
    finally:
        connection.close()
    try:
        decoded = json.loads(content or b"{}")
    except ValueError:
        decoded = {}
    return Answer(response.status, decoded if isinstance(decoded, dict) else {})


@dataclass(frozen=True, slots=True)
class Sent:
    """The requests of one client.

    `statuses` counts the answers by status, `failures` the requests without one, `expected_errors` the server errors
    that a request was meant to cause, `calls` the requests that service and worker send to the greeter as a result.
    `last_failure` and `last_server_error` describe the last request without an answer and the last unexpected error.
    """

    requests: int
    statuses: dict[int, int]
    failures: int
    last_failure: str
    expected_errors: int = 0
    calls: int = 0
    last_server_error: str = ""

    @property
    def answered(self) -> int:
        """The number of answers."""
        return sum(self.statuses.values())

    @property
    def server_errors(self) -> int:
        """The number of unexpected server errors."""
        errors = sum(count for status, count in self.statuses.items() if status >= http.client.INTERNAL_SERVER_ERROR)
        return errors - self.expected_errors


class CountingClient:
    """Calls one service. One thread sends, others may read the counts."""

    def __init__(self, port: int, host: str = HOST) -> None:
        self._host = host
        self._port = port
        self._requests = 0
        self._statuses: Counter[int] = Counter()
        self._failures = 0
        self._last_failure = ""
        self._last_server_error = ""
        self._expected_errors = 0
        self._calls = 0

    @property
    def sent(self) -> Sent:
        """The current counts."""
        return Sent(
            self._requests,
            self._statuses.copy(),
            self._failures,
            self._last_failure,
            self._expected_errors,
            self._calls,
            self._last_server_error,
        )

    def count_call(self) -> None:
        """Count that the last request causes one to the greeter."""
        self._calls += 1

    def send(self, method: str, path: str, body: Any = None, *, expected: int | None = None) -> Answer:
        """Send one request and count it; without an answer the status is 0. `expected` is an expected server error."""
        self._requests += 1
        what = f"{method} {path.partition('?')[0]}"
        try:
            answer = call(self._port, method, path, body, host=self._host)
        except OSError as error:
            self._failures += 1
            self._last_failure = f"{what}: {error}"
            return Answer(0, {})
        self._statuses[answer.status] += 1
        if answer.status == expected:
            self._expected_errors += 1
        elif answer.status >= http.client.INTERNAL_SERVER_ERROR:
            self._last_server_error = f"{what}: {answer.status}"
        return answer
