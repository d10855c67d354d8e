"""Whatever a client sends, the answer is never a 5xx, and every error is a problem document. Over real connections."""

import http.client
import json
from collections.abc import Callable

import pytest

from tests.support.service import Service
from tests.userapi.bad_requests import BAD_REQUESTS, ODD_BUT_GOOD, BadRequest


def send(service: Service, request: BadRequest) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        connection.putrequest(request.method, request.path, skip_host="Host" in request.headers)
        if request.body is not None:
            connection.putheader("Content-Length", str(len(request.body)))
        for name, value in request.headers.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(request.body)
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type") or "", response.read()
    finally:
        connection.close()


def mistake(service: Service, request: BadRequest) -> str | None:
    status, media_type, body = send(service, request)
    if status != request.status:
        return f"{request}: {status} instead of {request.status}: {body[:300]!r}"
    if status >= 400 and (media_type != "application/problem+json" or json.loads(body)["status"] != status):
        return f"{request}: no problem document: {media_type} {body[:300]!r}"
    return None


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_bad_request_gets_its_status(empty_service: Callable[[str], Service], database: str) -> None:
    service = empty_service(database)
    mistakes = [mistake(service, each) for each in [*BAD_REQUESTS, *ODD_BUT_GOOD]]
    assert not [each for each in mistakes if each]
    assert "Internal Server Error" not in service.output
