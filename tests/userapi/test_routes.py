"""The templates of routes: readable, and as many as there are routes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import get_resolver

from telemetry.routes import template_of


def routes(patterns: Any, prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route


@pytest.mark.parametrize(
    ("route", "template"),
    [
        ("", "/"),
        ("users", "/users"),
        ("users/<uuid:id>", "/users/{id}"),
        ("users/<id>", "/users/{id}"),
        ("admin/^(?P<app_label>auth|users)/$", "/admin/{app_label}/"),
        (r"admin/(?P<url>.*)$", "/admin/{url}"),
        (r"^(?P<a>(x|y)+)\.(?P<b>[^/.]+)$", "/{a}.{b}"),
        (r"^\A(?P<year>(?P<century>(19|20))\d{2})/(?P<rest>[^)]+|[])(]|\))/<int:day>\Z", "/{year}/{rest}/{day}"),
        (r"^(?:page-(?P<page>\d+)/)?$", "/(page-{page}/)"),
        (r"^old/\d+\.html$", r"/old/\d+.html"),
        ("open(?P<a>(x", "/open{a}"),
    ],
)
def test_template_of_route(route: str, template: str) -> None:
    assert template_of(route) == template


@pytest.mark.parametrize("route", list(routes(get_resolver("userapi.urls").url_patterns)))
def test_template_of_every_route_is_readable(route: str) -> None:
    assert re.fullmatch(r"/([a-z0-9_\-]+|\{[a-z_]+\}|/)*", template_of(route))
