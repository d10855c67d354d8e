"""The pages for people: everything from this service, nothing from elsewhere."""

import re
import tomllib
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

import telemetry
from telemetry import lifecycle
from tests.support.service import ROOT
from userapi import __version__

pytestmark = pytest.mark.django_db
HTML = {"accept": "text/html"}


class References(HTMLParser):
    """What a page makes the browser fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.inline = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        fetched = (
            values.get("src") if tag in ("script", "img", "iframe") else values.get("href") if tag == "link" else None
        )
        if fetched and not fetched.startswith("data:"):
            self.urls.append(fetched)
        if "style" in values or tag == "style" or (tag == "script" and "src" not in values):
            self.inline += 1


@pytest.mark.parametrize("path", ["/", "/docs", "/users", "/admin/login/", "/admin/", "/admin/users/user/"])
def test_page_is_served_offline(admin_client: Client, path: str) -> None:
    references = References(admin_client.get(path, headers=HTML, follow=True).content.decode())
    assert references.urls
    for url in references.urls:
        assert url.startswith("/"), url
        response = admin_client.get(url)
        assert response.status_code == 200, url
        response.close()


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/users", "/admin", "/admin/", "/admin/login/", "/admin/users/user/", "/admin/nothing/"]
)
def test_page_lets_nothing_in_from_elsewhere(admin_client: Client, path: str) -> None:
    response = admin_client.get(path, headers=HTML, follow=True)
    assert response["Content-Type"].startswith("text/html")
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert (policy["default-src"], policy["base-uri"], policy["frame-ancestors"]) == ("'none'",) * 3
    assert policy.get("script-src", "'self'") == "'self'"
    assert not [source for source in " ".join(policy.values()).split() if ":" in source and source != "data:"]


@pytest.mark.parametrize("path", ["/users", "/schema", "/livez", "/users/nothing"])
def test_json_carries_no_policy(admin_client: Client, path: str) -> None:
    assert "Content-Security-Policy" not in admin_client.get(path, headers={"accept": "application/json"})


def test_home_has_nothing_inline(client: Client) -> None:
    response = client.get("/")
    assert "unsafe" not in response["Content-Security-Policy"]
    assert References(response.content.decode()).inline == 0


def test_home_links_everything(client: Client, settings: Any) -> None:
    settings.CONSOLE_URL = "http://localhost:3999"
    links = re.findall(r'<a href="([^"]+)"', client.get("/").content.decode())
    assert links == ["/users", "/docs", "/schema", "/admin/", "/livez", "/readyz", "http://localhost:3999"]


def test_home_links_metrics_in_direct_mode(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEMETRY_MODE", "direct")
    monkeypatch.setattr(lifecycle._Process, "config", None)
    monkeypatch.setattr(lifecycle._Process, "recording", None)
    assert '<a href="/metrics">' in client.get("/").content.decode()


def test_home_needs_no_account(client: Client) -> None:
    assert client.get("/").status_code == 200


def test_docs_name_the_schema(client: Client) -> None:
    assert b"/schema" in client.get("/docs?script=").content


def test_stylesheet_serves_dark_and_light(client: Client) -> None:
    response = client.get("/static/userapi/home.css")
    assert b"prefers-color-scheme: dark" in response.getvalue()


def test_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert __version__ == telemetry.__version__ == project["version"]


def test_docs_answer_options_with_405(client: Client) -> None:
    assert client.options("/docs").status_code == 405
