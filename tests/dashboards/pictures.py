"""Take pictures of the dashboards in a running Grafana, for docs/images and for looking at them.

    python -m tests.dashboards.pictures --grafana http://admin:admin@localhost:3000 --minutes 15

One PNG for each dashboard, and a line for each panel that has an error or no data. Exit code 1 if there is such a line.
Needs Chromium.
"""

import argparse
import io
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from deploy.grafana.source import DASHBOARDS
from deploy.grafana.source.model import Dashboard
from tests.support.service import ROOT
from tests.tools.console.browser import CHROMIUM, FLAGS

IMAGES = ROOT / "docs" / "images"
# So wide that a panel of a third of the page can be read.
WIDTH = 1500
# A unit of a panel's height with the gap below it, and what Grafana has above the panels, in pixels.
_UNIT, _HEAD = 38, 100
_TIMEOUT = 60_000
# For all queries to be answered and drawn, in milliseconds. Grafana keeps connections open: the network is never idle.
_PATIENCE = 15_000
_EMPTY = {"No data", "Data is missing a number field", "Data is missing a time field", "An unexpected error happened"}


def height(dashboard: Dashboard, rows: int | None = None) -> int:
    """Return the height at which the first `rows` of a dashboard are seen without scrolling, in pixels; None: all."""
    tops = [int(panel["gridPos"]["y"]) for panel in dashboard.to_json()["panels"] if panel["type"] == "row"]
    places = [panel["gridPos"] for panel in dashboard.to_json()["panels"]]
    bottom = max(int(place["y"] + place["h"]) for place in places)
    return _HEAD + _UNIT * [*tops, bottom][len(tops) if rows is None else min(rows, len(tops))]


class Grafana:
    """A Grafana at a URL with name and password, looked at in a browser."""

    def __init__(self, url: str, browser: Browser) -> None:
        parts = urlsplit(url)
        self._login = {"user": parts.username or "admin", "password": parts.password or "admin"}
        self._url = f"{parts.scheme}://{parts.hostname}:{parts.port or 80}"
        self._context = browser.new_context()
        self._context.set_default_timeout(_TIMEOUT)
        answer = self._context.request.post(f"{self._url}/login", data=self._login)
        if not answer.ok:
            sys.exit(
                f"{self._url}: the login of {self._login['user']} is answered with {answer.status}: {answer.text()}"
            )

    def open(self, dashboard: Dashboard, minutes: int, ago: int) -> tuple[Page, list[str]]:
        """Return the dashboard's page once it has had time to load, and the errors of its scripts."""
        until = f"now-{ago}m" if ago else "now"
        page = self._context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error).partition("\n")[0]))
        # All of it, whatever the picture shows: panels out of sight are not loaded.
        page.set_viewport_size({"width": WIDTH, "height": height(dashboard)})
        page.goto(f"{self._url}/d/{dashboard.uid}?refresh=1d&from=now-{minutes + ago}m&to={until}")
        page.get_by_text(dashboard.rows[-1].title).first.wait_for()
        page.wait_for_timeout(_PATIENCE)
        return page, errors


def complaints(page: Page) -> Iterator[str]:
    """Yield the titles of the panels without data and of those with an error."""
    for panel in page.locator("section.panel-container, section[data-testid*='Panel header']").all():
        words = [word.strip() for word in panel.inner_text().split("\n")]
        if found := _EMPTY & set(words):
            yield f"{found.pop()}: {words[0]}"
        if panel.locator("[data-testid='data-testid Panel status error'], .panel-info-corner--error").count():
            yield f"error: {words[0]}"


def small(png: bytes, upper: int) -> bytes:
    """Return the upper pixels of a picture with its 256 most frequent colours: those of thin lines are among them."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").crop((0, 0, WIDTH, upper))
    pixels = picture.tobytes()
    counted = Counter(pixels[start : start + 3] for start in range(0, len(pixels), 3))
    palette = Image.new("P", (1, 1))
    palette.putpalette(b"".join(color for color, _ in counted.most_common(256)))
    target = io.BytesIO()
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(target, "PNG", optimize=True)
    return target.getvalue()


def main() -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.dashboards.pictures", description=(__doc__ or "").partition("\n")[0]
    )
    pages = {dashboard.uid.removeprefix("user-api-"): dashboard for dashboard in DASHBOARDS}
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"which ones (default: all): {', '.join(pages)}")
    parser.add_argument("--grafana", default="http://admin:admin@localhost:3000", help="URL with name and password")
    parser.add_argument("--minutes", type=int, default=15, help="how much time they show (default: %(default)s)")
    parser.add_argument("--ago", type=int, default=0, help="how many minutes ago that ends (default: %(default)s)")
    parser.add_argument("--rows", type=int, help="how many rows of each, from the top (default: all)")
    parser.add_argument("--suffix", default="", help="added to the names of the pictures")
    parser.add_argument("--folder", type=Path, default=IMAGES, help="where they go (default: docs/images)")
    options = parser.parse_args()
    if unknown := set(options.pages) - set(pages):
        parser.error(f"there is no page {', '.join(sorted(unknown))}; expected {', '.join(pages)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    found = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        grafana = Grafana(options.grafana, browser)
        for name in options.pages or pages:
            page, errors = grafana.open(pages[name], options.minutes, options.ago)
            for complaint in (*complaints(page), *errors):
                found += 1
                print(f"{pages[name].title}: {complaint}")
            path = options.folder / f"grafana-{name}{options.suffix}.png"
            path.write_bytes(small(page.screenshot(), height(pages[name], options.rows)))
            print(f"{path}: {path.stat().st_size // 1000} kB")
            page.close()
        browser.close()
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
