"""The document's examples of a project's own settings, spans, counts and fields, as they are written there."""

import json
import re
from pathlib import Path

from telemetry.tools.console.server import Console
from tests.support.service import wait_until
from tests.use_it.project import block, make_project, running
from tests.use_it.test_servers import SERVERS, environment

VIEWS = """
from django.http import HttpResponse
from django.urls import path
from mysite.shop import place


def order(request):
    place(["tea", "milk", "sugar"])
    return HttpResponse("placed")


urlpatterns = [path("orders", order)]
"""


def test_examples_do_what_they_say(stock: Path, tmp_path: Path, site: Path, console: Console) -> None:
    project = make_project(stock, tmp_path / "shop", views=False)
    settings = project / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + block("python", "TELEMETRY = {") + block("python", "LOGGING ="))
    (project / "mysite" / "shop.py").write_text(block("python", "def place(order)"))
    (project / "mysite" / "urls.py").write_text(VIEWS + block("python", "urlpatterns +="))
    with running(project, site, SERVERS["gunicorn, `sync`"], environment(console, "direct")) as server:
        for _ in range(3):
            assert server.get("/orders") == (200, b"placed")
        answers = [server.get(path) for path in ("/metrics", "/internal/metrics")]
        store = console.store
        wait_until(lambda: len(store.spans()) >= 6 and len(store.logs()) >= 6, 60, "spans and records")
    for status, body in answers:
        assert status == 200, body
        assert re.findall(r'^orders_placed_total\{.*channel="web".*\} (\S+)', body.decode(), re.MULTILINE) == ["3.0"]
    requests = {span.span_id: span for span in store.spans() if span.attributes.get("http.route") == "/orders"}
    assert len(requests) == 3
    assert {span.attributes["shop.items"] for span in requests.values()} == {3}
    reserved = [span for span in store.spans() if span.name == "reserve stock"]
    assert {span.parent_span_id for span in reserved} == requests.keys()
    assert {span.scope.name for span in reserved} == {"shop"}
    resource = reserved[0].resource.attributes
    assert (resource["service.name"], resource["service.version"]) == ("shop", "1.2.0")
    placed = [record for record in store.logs() if record.body == "placed an order"]
    assert {record.span_id for record in placed} == requests.keys()
    assert {record.attributes["shop.items"] for record in placed} == {3}
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert {line["trace_id"] for line in lines if line.get("body") == "placed an order"} == {
        span.trace_id for span in requests.values()
    }
