"""The pages of the admin, the browsable API and the documentation in a real browser, under the policy."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.service import ROOT, Service
from tests.tools.console.browser import Chromium, chromium, chromium_is_missing

pytestmark = pytest.mark.skipif(chromium_is_missing(), reason="Chromium is not installed")
PASSWORD = "a password of admin"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def service(
    share_service: Callable[..., Service], migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Service:
    database = tmp_path_factory.mktemp("pages") / "pages.sqlite3"
    database.write_bytes(migrated_sqlite.read_bytes())
    env = {"DATABASE_URL": f"sqlite:///{database}", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    subprocess.run([sys.executable, "manage.py", "create_admin"], cwd=ROOT, env={**os.environ, **env}, check=True)
    started = share_service("--workers=1", DATABASE_URL=env["DATABASE_URL"])
    assert started.request("POST", "/users", {"name": "Test User", "email": "test@example.com"})[0] == 201
    return started


def test_pages_work_under_their_policy(service: Service, browser: Chromium) -> None:
    with browser.page(f"http://127.0.0.1:{service.port}") as watched:
        page = watched.go("/")
        page.get_by_role("link", name="Documentation").click()
        page.locator(".opblock-summary-control").filter(has_text="List users").first.click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table")).to_contain_text("test@example.com")

        page = watched.go("/users")
        expect(page.locator(".response-info")).to_contain_text("test@example.com")
        page.get_by_role("button", name="OPTIONS").click()
        expect(page.locator(".response-info")).to_contain_text("All user records, page by page.")

        page = watched.go("/admin/")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#site-name")).to_be_visible()
        page.get_by_role("button", name="Toggle theme").first.click()
        page = watched.go("/users")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("link", name="Log in")).to_be_visible()
        page.get_by_role("link", name="Log in").click()
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text("admin", exact=True)).to_be_visible()
        watched.go("/admin/users/user/")
        expect(page.locator("#result_list")).to_contain_text("test@example.com")
        watched.go("/admin/auth/user/1/change/")
        page.get_by_role("link", name="Choose all user permissions").or_(
            page.get_by_role("button", name="Choose all user permissions")
        ).first.click()
        page.get_by_role("link", name="Today").or_(page.get_by_role("button", name="Today")).first.click()
        watched.go("/admin/axes/accessattempt/")
        watched.go("/admin/nothing/", status=404)


def test_script_that_got_into_a_page_does_not_run(service: Service, browser: Chromium) -> None:
    with browser.page(f"http://127.0.0.1:{service.port}") as watched:
        for path in ("/", "/users", "/docs", "/admin/login/"):
            page = watched.go(path)
            # The browser reports it when it finds the time.
            with page.expect_console_message(lambda message: "policy: script-src-elem inline" in message.text):
                page.evaluate(
                    "() => { const s = document.createElement('script'); s.text = 'window.ran = true';"
                    " document.body.append(s); }"
                )
            assert page.evaluate("() => window.ran === undefined"), path
        assert len([text for text in watched.troubles() if "policy: script-src-elem inline" in text]) == 4
        # There is no /favicon.ico.
        watched.expected = ("policy: script-src-elem inline", "Content Security Policy", "status of 404")
