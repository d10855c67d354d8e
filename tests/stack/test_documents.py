"""docs/stack.md and .env.example agree with the files: ports, images, volumes, memory, variables, defaults."""

import re
from itertools import chain
from typing import Any

import yaml

from tests.stack.compose import Choice, everything, services, variables
from tests.support.service import ROOT

DOCUMENT = (ROOT / "docs" / "stack.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
# Compose reads these itself, or Alloy's optional files do.
REQUIRED = {"COMPOSE_PROFILES", "DJANGO_SECRET_KEY", "POSTGRES_PASSWORD"}


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without the table's own heading."""
    section = DOCUMENT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert lines, heading
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def example() -> dict[str, str]:
    """Return the variables of .env.example, commented out or not."""
    return dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))


def defaults() -> dict[str, str]:
    """Return the default that the files give each variable; that of docker-compose.yml where a port has two."""
    return {name: max(found) for name, found in variables().items()}


def test_document_services() -> None:
    documented = {code(row[0])[0]: row for row in rows("Services")}
    assert set(documented) == set(everything()) - {"grafana-jaeger"}
    for name, (_, image, port, _, data, memory) in documented.items():
        service = everything()[name]
        assert code(image)[0] == ("deploy/Dockerfile" if service["image"] == "user-api:local" else service["image"])
        main = port.partition("(")[0]
        assert re.findall(r"\d+", main) == [one["published"] for one in service.get("ports", ())], name
        assert code(data) == [one["source"] for one in service.get("volumes", ()) if one["type"] == "volume"], name
        size = memory.replace("512M", str(512 << 20)).replace("1G", str(1 << 30))
        assert size == service["deploy"]["resources"]["limits"]["memory"], name


def test_document_port_variables() -> None:
    documented = {code(row[0])[0]: code(row[3]) for row in rows("Services")}
    assert documented.pop("user-api-direct") == ["USER_API_DIRECT_PORT", "USER_API_PORT"]
    ports = {variable: str(number) for number, variable in enumerate(chain.from_iterable(documented.values()), 23456)}
    for name, names in documented.items():
        moved = services(choice_with(name), **ports)[name]
        assert {ports[variable] for variable in names} <= {port["published"] for port in moved.get("ports", ())}, names


def choice_with(name: str) -> Choice:
    if name == "jaeger":
        return Choice("docker-compose.direct.yml", "jaeger")
    return Choice("docker-compose.yml", "compare,proxy")


def test_variables_are_in_files_example_and_document() -> None:
    documented = {code(row[0])[0] for row in rows("Variables")}
    assert set(variables()) == set(example()) == documented


def test_variables_defaults() -> None:
    documented = {code(row[0])[0]: row[1] for row in rows("Variables")}
    for name, default in defaults().items():
        shown = documented[name]
        if name in REQUIRED:
            assert shown == "required", name
        else:
            assert (code(shown) or [""]) == [default], name
            assert default or shown.startswith("none"), name


def test_example_shows_defaults() -> None:
    commented = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert commented == {name: defaults()[name] for name in commented}
    chosen = {name: value for name, value in example().items() if name not in commented and value}
    assert chosen == {"COMPOSE_PROFILES": "collector", "USERAPI_OPEN_ACCESS": "true"}


def test_document_volumes() -> None:
    named = {volume["source"] for service in everything().values() for volume in service.get("volumes", ())}
    assert {name for name in named if name.endswith("-data")} == set(re.findall(r"`([a-z]+-data)`", DOCUMENT))


def test_document_commands_are_valid() -> None:
    found = re.findall(r"`docker compose(?: -f (\S+))?((?: --profile [a-z]+)*) up -d`", DOCUMENT)
    assert len(found) == 7
    for file, profiles in found:
        choice = Choice(file or "docker-compose.yml", ",".join(re.findall(r"--profile (\w+)", profiles)) or "collector")
        assert services(choice)


def test_document_settings_of_backends_elsewhere() -> None:
    """What the stack sets for its backends, and no backend has by default, is listed for those of a cluster."""
    scaling = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    table = scaling.partition("\n### What each backend needs\n")[2]
    enabled = {flag for flag in everything()["prometheus"]["command"] if "--web.enable-" in flag or "-feature=" in flag}
    enabled.remove("--web.enable-lifecycle")  # for convenience
    assert enabled == set(re.findall(r"`(--[a-z.=-]+)`", table))
    files = "".join(
        (ROOT / "deploy" / name).read_text(encoding="utf-8") for name in re.findall(r"\(\.\./deploy/(\S+)\)", table)
    )
    named = re.findall(r"`([a-z]+_[a-z_]+(?:: \w+)?)`", table)
    assert {"otlp_config", "metrics_generator", "out_of_order_time_window: 3h"} <= set(named)
    assert [name for name in named if name not in files and not name.startswith(("service_", "export_"))] == []


def test_document_upgrade_makes_containers_anew() -> None:
    """Compose goes on with a container whose mounted files alone have changed."""
    upgrade = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    assert any(volume["type"] == "bind" for service in everything().values() for volume in service.get("volumes", ()))
    assert re.findall(r"^    docker compose up .*$", upgrade, re.MULTILINE) == [
        "    docker compose up -d --force-recreate --remove-orphans"
    ]


def test_document_figures_of_alloy() -> None:
    alloy = (ROOT / "deploy" / "alloy" / "config.alloy").read_text(encoding="utf-8")
    assert "1 GiB, 3 h 20 min" in alloy
    assert "3 hours 20 minutes for traces" in DOCUMENT.replace("\n", " ")


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / "deploy" / name).read_text(encoding="utf-8"))


def test_document_limits_of_backends() -> None:
    documented = {name: f"{time}: {limit}" for name, time, limit, _ in rows("What is kept, and how long")}
    storage = loaded("prometheus/prometheus.yml")["storage"]
    retention, exemplars = storage["tsdb"]["retention"], storage["exemplars"]["max_exemplars"]
    wanted = f"{retention['time']}ays: {retention['size']}, {exemplars:,} exemplars"
    assert documented["Prometheus"].replace(" ", "") == wanted.replace(" ", "")
    tempo = loaded("tempo/tempo.yaml")["overrides"]["defaults"]
    trace, rate = tempo["global"]["max_bytes_per_trace"], tempo["ingestion"]["rate_limit_bytes"]
    time, series = days(tempo["compaction"]["block_retention"]), tempo["metrics_generator"]["max_active_series"]
    wanted = f"{time}: {trace // 10**6} MB a trace, {rate // 10**6} MB/s, {series:,} series of span metrics"
    assert documented["Tempo"] == wanted
    loki = loaded("loki/loki.yaml")["limits_config"]
    line = loki["max_line_size"].replace("KB", " KB")
    assert documented["Loki"] == f"{days(loki['retention_period'])}: {loki['ingestion_rate_mb']} MB/s, {line} a line"


def days(hours: str) -> str:
    return f"{int(hours.removesuffix('h')) // 24} days"
