"""Take pictures of the dashboards in a running Grafana, for docs/images and for looking at them.

    python -m tests.dashboards.pictures --grafana http://admin:admin@localhost:3000 --minutes 15 --output docs/images

One PNG for each dashboard, 256 colours, and the words of every panel that shows an error or no data on standard output.
Needs Chromium on the PATH, or the one that Playwright installs.
"""

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from deploy.grafana.source import DASHBOARDS
from deploy.grafana.source.model import Dashboard

WIDTH = 1500
# What Grafana needs for a unit of a panel's height, and for its own head, in pixels.
_UNIT, _HEAD = 38, 110
_TIMEOUT = 60_000
_PATIENCE = 6_000


def height(dashboard: Dashboard) -> int:
    """Return the height at which all of a dashboard is seen without scrolling, in pixels."""
    places = [panel["gridPos"] for panel in dashboard.to_json()["panels"]]
    return _HEAD + _UNIT * max(int(place["y"] + place["h"]) for place in places)


def open_dashboard(browser: Browser, grafana: str, dashboard: Dashboard, minutes: int) -> Page:
    """Return the dashboard's page once its panels have stopped loading."""
    url = urlsplit(grafana)
    credentials = {"username": url.username or "", "password": url.password or ""}
    page = browser.new_page(viewport={"width": WIDTH, "height": height(dashboard)})
    address = url._replace(netloc=f"{url.hostname}:{url.port or 80}").geturl().rstrip("/")
    if url.username:
        page.request.post(
            f"{address}/login", data={"user": credentials["username"], "password": credentials["password"]}
        )
    page.goto(f"{address}/d/{dashboard.uid}?kiosk=tv&refresh=&from=now-{minutes}m&to=now", timeout=_TIMEOUT)
    page.get_by_text(dashboard.rows[-1].title, exact=True).first.wait_for(timeout=_TIMEOUT)
    page.wait_for_timeout(_PATIENCE)
    page.wait_for_load_state("networkidle", timeout=_TIMEOUT)
    return page


def complaints(page: Page) -> Iterator[str]:
    """Yield the titles of panels without data and the words of those with an error."""
    for panel in page.locator("section.panel-container, section[data-testid*='Panel header']").all():
        words = panel.inner_text().split("\n")
        if any(word.strip() in {"No data", "Data is missing a number field"} for word in words):
            yield f"no data: {words[0]}"
        if panel.locator("[data-testid='data-testid Panel status error'], .panel-info-corner--error").count():
            yield f"error: {words[0]}"


def small(png: bytes) -> bytes:
    """Return the picture with 256 colours."""
    target = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(target, "PNG", optimize=True)
    return target.getvalue()


def main() -> int:
    """Run the command; returns its exit code: 1 if a panel has an error or no data."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.dashboards.pictures", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--grafana", default="http://admin:admin@localhost:3000", help="URL with name and password")
    parser.add_argument(
        "--minutes", type=int, default=15, help="how much time the dashboards show (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, help="directory for the pictures")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    found = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        for dashboard in DASHBOARDS:
            page = open_dashboard(browser, options.grafana, dashboard, options.minutes)
            for complaint in complaints(page):
                found += 1
                print(f"{dashboard.title}: {complaint}")
            path = options.output / f"{dashboard.uid}.png"
            path.write_bytes(small(page.screenshot()))
            print(f"{path}: {path.stat().st_size // 1000} kB")
            page.close()
        browser.close()
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
