"""Requests can be made of whatever headers a client sends."""

from io import BytesIO
from wsgiref.util import setup_testing_defaults

import pytest
from django.http import Http404

from userapi.problems import page_not_found
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


@pytest.mark.parametrize("query", [b"search=\xc3\xa9&x=a%20b", b"search=%C3%A9&x=a%20b"])
def test_links_have_the_query_that_was_sent(query: bytes) -> None:
    environ = {"QUERY_STRING": query.decode("iso-8859-1"), "PATH_INFO": "/users/", "HTTP_HOST": "localhost"}
    setup_testing_defaults(environ)
    scope = {
        "type": "http", "method": "GET", "path": "/users/", "query_string": query, "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    for request in (UTF8Request(environ), UTF8AsyncRequest(scope, BytesIO())):
        assert request.GET["search"] == "é"
        assert request.build_absolute_uri() == "http://localhost/users/?search=%C3%A9&x=a%20b"
        assert page_not_found(request, Http404())["Location"] == "/users?search=%C3%A9&x=a%20b"
