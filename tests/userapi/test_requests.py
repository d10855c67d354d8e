"""Requests can be made of whatever headers a client sends."""

from io import BytesIO
from wsgiref.util import setup_testing_defaults

import pytest

from userapi.requests import UTF8AsyncRequest, UTF8Request

CONTENT_TYPES = {
    "application/json": "application/json",
    "application/json; x*=utf-8'en'a": "application/json",
    "application/json; x*=bogus'en'a": "",
    "multipart/form-data; boundary*=bogus''a": "",
}


@pytest.mark.parametrize(("given", "read"), CONTENT_TYPES.items())
def test_content_type_that_cannot_be_read_is_none(given: str, read: str) -> None:
    environ = {"CONTENT_TYPE": given, "HTTP_ACCEPT": "text/html"}
    setup_testing_defaults(environ)
    scope = {
        "type": "http", "method": "GET", "path": "/", "query_string": b"",
        "headers": [(b"content-type", given.encode()), (b"accept", b"text/html")],
    }  # fmt: skip
    for request in (UTF8Request(environ), UTF8AsyncRequest(scope, BytesIO())):
        assert (request.content_type or "", request.headers["accept"]) == (read, "text/html")
