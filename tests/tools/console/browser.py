"""A real Chromium, and pages that fail a test on any error in them."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, expect, sync_playwright

# A busy machine draws slowly.
expect.set_options(timeout=20_000)
_PATIENCE = 90_000

# The shell is the same engine without the windows of a desktop, which cost more than the pages in them.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: So wide are small phones.
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
#: axe's rules of WCAG 2.2, and those of good practice, by their tags.
ALL_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def chromium_is_missing() -> bool:
    return CHROMIUM is None


class Chromium:
    """One running browser with a profile of its own; each `page` begins from nothing."""

    def __init__(self, context: BrowserContext) -> None:
        self._browser = context.browser
        self._context = context

    @contextmanager
    def page(self, base: str, **options: Any) -> Iterator["WatchedPage"]:
        """A page whose paths are relative to `base`; at the end nothing may have gone wrong in it."""
        assert self._browser is not None
        given = {"viewport": DESKTOP, "base_url": base, "color_scheme": "light", **options}
        context = self._browser.new_context(**given)
        context.set_default_timeout(_PATIENCE)
        try:
            page = WatchedPage(context.new_page())
            yield page
            assert page.troubles() == []
        finally:
            context.close()


class WatchedPage:
    """A page with what went wrong in it: errors, messages of the browser, violations of the policy."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._troubles: list[str] = []
        page.on("pageerror", lambda error: self._troubles.append(f"error: {error}"))
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("requestfailed", lambda request: self._note_failure(request.url, request.failure))
        page.on("dialog", lambda dialog: self._troubles.append(f"dialog: {dialog.message}"))
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) => "
            "console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"
        )
        self.expected: tuple[str, ...] = ()

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self._troubles.append(f"{kind}: {text}")

    def _note_failure(self, url: str, failure: str | None) -> None:
        # A page that is left ends its own request for news.
        if failure != "net::ERR_ABORTED":
            self._troubles.append(f"request failed: {url} {failure}")

    def troubles(self) -> list[str]:
        return [text for text in self._troubles if not any(known in text for known in self.expected)]

    def go(self, path: str, status: int = 200) -> Page:
        """Open a path of the console, which has to answer with the status."""
        if status >= 400:
            self.expected = (*self.expected, f"status of {status}")
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.status == status
        return self.page

    def barriers(self, rules: Sequence[str] = ALL_RULES) -> list[str]:
        """What axe finds wrong with the page as it is, one line for each rule and place; all rules, or named ones."""
        kind = "tag" if rules == ALL_RULES else "rule"
        only = {"runOnly": {"type": kind, "values": list(rules)}, "resultTypes": ["violations"]}
        found = Axe().run(self.page, options=only)
        return [
            f"{violation['id']}: {node['html'][:200]} ({node['failureSummary']})"
            for violation in found.response["violations"]
            for node in violation["nodes"]
        ]


def choose(field: Locator, value: str) -> None:
    """Choose in a list with the pointer."""
    field.dispatch_event("pointerdown")
    field.select_option(value)


@contextmanager
def chromium() -> Iterator[Chromium]:
    profile = tempfile.mkdtemp(prefix="chromium-")
    try:
        with sync_playwright() as playwright:
            context = playwright.chromium.launch_persistent_context(
                profile, executable_path=CHROMIUM, args=[*FLAGS], timeout=_PATIENCE
            )
            try:
                yield Chromium(context)
            finally:
                context.close()
    finally:
        shutil.rmtree(profile, ignore_errors=True)
