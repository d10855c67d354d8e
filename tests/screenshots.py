"""The pictures of the console in docs/images: `python -m tests.screenshots [--seconds S] [--folder PATH]`.

Runs a demo of its own on free ports, lets traffic come for a while, takes a picture of each page, and ends the demo.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telemetry.tools.demo.ports import MODES, Ports, busy_port
from telemetry.tools.traffic.client import call
from tests.support.service import ROOT, wait_until
from tests.tools.console.browser import Chromium, chromium

IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1280, "height": 860}
#: More would make the repository heavy.
MOST_BYTES = 200_000
#: Name of the picture, path of the page, colours, and what to open on it.
PICTURES = (
    ("overview", "/?window=1", "light", None),
    ("overview-dark", "/?window=1", "dark", None),
    ("traces", "/traces", "light", None),
    # Not the last span, which has failed: its stack trace holds this machine's paths.
    ("trace", "/traces/{trace_id}", "light", ".waterfall summary >> nth=1"),
    ("metric", "/metrics/http.server.request.duration?by=http.route&window=1", "dark", None),
    ("logs", "/logs", "dark", None),
    ("modes", "/modes", "light", None),
)
PHONE = {"width": 390, "height": 844}


def free_offset() -> int:
    """An offset of the demo's ports at which all of them are free."""
    return next(offset for offset in range(11_000, 30_000, 37) if busy_port(Ports(offset).used(MODES)) is None)


@contextmanager
def demo(ports: Ports) -> Iterator[None]:
    """A demo in a folder of its own that has begun to send."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "manage.py", "demo", "--port-offset", str(ports.offset), "--folder", folder]
        with (Path(folder) / "demo.log").open("w+") as log:
            process = subprocess.Popen([*command, "--rate", "15"], cwd=ROOT, stdout=log, stderr=log)
            try:
                wait_until(lambda: "Try:" in Path(log.name).read_text() or process.poll() is not None, 90, "the demo")
                if process.poll() is not None:
                    sys.exit(f"the demo ended:\n{Path(log.name).read_text()}")
                yield
            finally:
                process.send_signal(signal.SIGINT)
                process.wait()


def longest_trace(ports: Ports) -> str:
    """The id of the trace with the most spans among the latest; a failed one if there is any."""
    traces = call(ports.console, "GET", "/api/traces?limit=200").body["traces"]
    found: str = max(traces, key=lambda trace: (trace["status"] == "error", trace["spans"]))["trace_id"]
    return found


def take(browser: Chromium, ports: Ports, folder: Path) -> None:
    """All pictures; nothing may go wrong on a page meanwhile."""
    base = f"http://localhost:{ports.console}"
    trace_id = longest_trace(ports)
    for name, path, scheme, opened in PICTURES:
        with browser.page(base, viewport=SIZE, color_scheme=scheme) as watched:
            page = watched.go(path.format(trace_id=trace_id))
            if opened:
                page.locator(opened).click()
            page.mouse.move(0, 0)
            page.screenshot(path=folder / f"console-{name}.png", caret="initial")
    with browser.page(base, viewport=PHONE, is_mobile=True, has_touch=True, color_scheme="dark") as watched:
        watched.go("/?window=1").screenshot(path=folder / "console-phone.png", caret="initial")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=80.0, help="of traffic before the pictures (%(default)s)")
    parser.add_argument("--folder", type=Path, default=IMAGES, help="where the pictures go (default: docs/images)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    ports = Ports(free_offset())
    with chromium() as browser, demo(ports):
        with browser.page(f"http://localhost:{ports.console}") as watched:
            watched.go("/").wait_for_timeout(options.seconds * 1000)
        take(browser, ports, options.folder)
    for picture in sorted(options.folder.glob("console-*.png")):
        size = picture.stat().st_size
        print(f"{picture} {size:,} bytes")  # noqa: T201
        if size > MOST_BYTES:
            sys.exit(f"{picture} has {size:,} bytes; expected at most {MOST_BYTES:,}")


if __name__ == "__main__":
    main()
