"""The committed dashboards are those of their source, complete, and lead somewhere."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.source import DASHBOARDS as SOURCE
from deploy.grafana.source.__main__ import write
from deploy.grafana.source.parts import mode_colors
from tests.dashboards.queries import DASHBOARDS, GRAFANA, Found, load, of_dashboards, panels
from tests.support.service import ROOT

UIDS = {"user-api-service", "user-api-compare", "user-api-pipeline", "user-api-explore"}
VARIABLES = {
    "user-api-service": ["service", "mode", "environment", "route"],
    "user-api-compare": ["service", "environment", "route"],
    "user-api-pipeline": ["service", "mode", "environment"],
    "user-api-explore": ["service", "mode", "environment", "route"],
}
# Values of labels in legends, and the columns of Tempo's tables in all versions of Grafana.
VALUES = {
    "export_mode": ["collector", "direct"],
    "http_response_status_code": ["200", "201", "204", "301", "400", "404", "409", "500"],
    "severity_text": ["INFO", "WARN", "ERROR"],
}
COLUMNS = ["traceID", "startTime", "traceService", "traceDuration", "Trace ID", "Start time", "Service", "Duration"]
ALL = [pytest.param(dashboard, id=name) for name, dashboard in load().items()]


def data_sources() -> dict[str, dict[str, Any]]:
    """Return the provisioned data sources by uid."""
    path = GRAFANA / "provisioning" / "datasources" / "datasources.yaml"
    return {source["uid"]: source for source in yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]}


def test_committed_json_is_that_of_the_source(tmp_path: Path) -> None:
    write(tmp_path)
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text(encoding="utf-8") for path in DASHBOARDS.iterdir()}
    assert committed == written, "deploy/grafana/dashboards is not what `make dashboards` writes"


def test_there_are_four_dashboards() -> None:
    assert {dashboard["uid"] for dashboard in load().values()} == UIDS
    assert len({dashboard["title"] for dashboard in load().values()}) == len(UIDS)


@pytest.mark.parametrize("dashboard", ALL)
def test_panel_has_title_description_and_unit(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        title = panel["title"]
        assert title.endswith("?"), f"{title!r} is no question"
        assert len(title) <= 60, f"{title!r} is too long to be read above a panel"
        assert len(panel["description"]) >= 30, f"{title}: no description"
        assert panel["description"].endswith("."), f"{title}: {panel['description']!r} is no sentence"
        assert panel["fieldConfig"]["defaults"]["unit"], f"{title}: no unit"
        assert panel["targets"], f"{title}: no query"


def test_panel_of_the_pipeline_says_what_to_do() -> None:
    for panel in panels(load()["user-api-pipeline.json"]):
        red = any(step["color"] == "red" for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"])
        assert ("If red" if red else "If ") in panel["description"], panel["title"]


def fields(panel: dict[str, Any]) -> Iterator[str]:
    """Yield the names of a panel's series or columns."""
    for target in panel["targets"]:
        legend = target.get("legendFormat", "")
        labels = re.findall(r"\{\{(\w+)\}\}", legend)
        for values in product(*(VALUES.get(label, [label]) for label in labels)):
            known = dict(zip(labels, values, strict=True))
            yield re.sub(r"\{\{(\w+)\}\}", lambda found, known=known: known[found[1]], legend)  # type: ignore[misc]
        if target.get("tableType") == "traces":
            yield from COLUMNS


def matches(override: dict[str, Any], panel: dict[str, Any]) -> bool:
    """Return whether an override changes anything in a panel."""
    kind, wanted = override["matcher"]["id"], override["matcher"]["options"]
    if kind == "byFrameRefID":
        return wanted in {target["refId"] for target in panel["targets"]}
    assert kind == "byRegexp"
    return any(re.search(wanted.strip("/"), name) for name in fields(panel))


@pytest.mark.parametrize("dashboard", ALL)
def test_overrides_match_a_field(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        for override in panel["fieldConfig"]["overrides"]:
            # The modes' colours are the same in every panel.
            assert matches(override, panel) or override in mode_colors(), f"{panel['title']}: {override['matcher']}"


def test_colours_of_modes_match_a_field() -> None:
    everything = [panel for dashboard in load().values() for panel in panels(dashboard)]
    for override in mode_colors():
        assert any(matches(override, panel) for panel in everything if override in panel["fieldConfig"]["overrides"])


@pytest.mark.parametrize("dashboard", ALL)
def test_panels_have_ids_of_their_own_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    everything = dashboard["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    cells: set[tuple[int, int]] = set()
    for panel in everything:
        place = panel["gridPos"]
        own = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not own & cells, f"{panel['title']} lies over another panel"
        cells |= own


@pytest.mark.parametrize("dashboard", ALL)
def test_titles_are_unique(dashboard: dict[str, Any]) -> None:
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("dashboard", ALL)
def test_variables_are_those_that_queries_use(dashboard: dict[str, Any]) -> None:
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == VARIABLES[dashboard["uid"]]
    texts = " ".join(found.text for found in of_dashboards() if found.file == f"{dashboard['uid']}.json")
    for name in VARIABLES[dashboard["uid"]]:
        assert re.search(rf"\$\{{?{name}\b", texts), f"{dashboard['title']}: nothing depends on {name}"


@pytest.mark.parametrize("found", list(of_dashboards()), ids=lambda found: f"{found.file}-{found.where}")
def test_variables_of_a_query_are_known(found: Found) -> None:
    """KeyError names one that the dashboard does not have."""
    assert not re.search(r"\$\{?\w", found.substituted())


def test_data_sources_are_provisioned() -> None:
    sources = data_sources()
    assert set(sources) == {"prometheus", "loki", "tempo", "jaeger"}
    for uid, source in sources.items():
        assert source["type"] == uid
        assert source["url"] == f"${uid.upper()}_URL"
    for dashboard in load().values():
        for reference in _references(dashboard):
            assert reference["uid"] in {*sources, "-- Mixed --"}, reference
            assert reference["uid"] == "-- Mixed --" or reference["type"] == sources[reference["uid"]]["type"]


def test_links_between_data_sources_resolve() -> None:
    sources = data_sources()
    exemplars = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    lines = sources["loki"]["jsonData"]["derivedFields"]
    assert [(link["name"], link["datasourceUid"]) for link in exemplars] == [("trace_id", "$TRACES_UID")]
    assert [(link["matcherRegex"], link["datasourceUid"]) for link in lines] == [("trace_id", "$TRACES_UID")]
    for uid in ("tempo", "jaeger"):
        links = sources[uid]["jsonData"]
        assert links["tracesToLogsV2"]["datasourceUid"] in sources
        assert links["tracesToMetrics"]["datasourceUid"] in sources
        assert links["serviceMap"]["datasourceUid"] in sources


def test_dollars_of_grafana_are_escaped() -> None:
    """`$NAME` is of the environment, all else is doubled: Grafana would put nothing in its place."""
    for path in (GRAFANA / "provisioning").rglob("*.yaml"):
        text = "\n".join(line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines())
        single = re.findall(r"(?<!\$)\$(?!\$)(\w*)", text)
        assert set(single) <= {"PROMETHEUS_URL", "LOKI_URL", "TEMPO_URL", "JAEGER_URL", "TRACES_UID", "DASHBOARDS_PATH"}


def test_documents_tell_of_every_dashboard_and_image() -> None:
    text = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    for dashboard in SOURCE:
        assert f"### {dashboard.title}" in text
    for image in re.findall(r"\]\((images/[^)]+)\)", text):
        path = ROOT / "docs" / image
        assert path.is_file(), f"docs/dashboards.md shows {image}, which is not there"
        assert path.stat().st_size < 200_000, f"{image} has {path.stat().st_size} bytes; expected below 200000"


def _references(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every reference to a data source in a dashboard."""
    if isinstance(value, dict):
        if isinstance(value.get("datasource"), dict):
            yield value["datasource"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
