"""What Docker Compose makes of the files: which services run, and how each is kept in."""

import re
import subprocess
import sys
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlsplit

import pytest

from telemetry.config import TelemetryConfig
from tests.stack.compose import CHOICES, SECRETS, Choice, config, everything, run, services
from tests.support.service import ROOT

BACKENDS = {"postgres", "migrate", "prometheus", "loki", "greeter", "worker"}
OF_PROFILE = {
    "collector": {"user-api", "alloy", "tempo", "grafana"},
    "direct": {"user-api-direct", "tempo", "grafana"},
    "compare": {"user-api", "user-api-direct", "alloy", "load", "tempo", "grafana"},
    "jaeger": {"user-api-direct", "jaeger", "grafana-jaeger"},
}
ONE_SHOT = {"migrate", "load"}
# It listens nowhere.
WORKERS = {"worker"}
MIGRATED = {
    "postgres": {"condition": "service_healthy", "required": True},
    "migrate": {"condition": "service_completed_successfully", "required": True},
}
STARTED = {"condition": "service_started", "required": True}
HEALTHY = {"condition": "service_healthy", "required": True}
# Of design and documents. `user-api-direct` alone has the port of `user-api`.
PORTS = {
    "user-api": {8080},
    "user-api-direct": {8081},
    "greeter": {8082},
    "alloy": {4317, 4318, 12345},
    "prometheus": {9090},
    "tempo": {3200},
    "loki": {3100},
    "grafana": {3000},
    "grafana-jaeger": {3000},
    "jaeger": {16686},
    "postgres": {5432},
    "proxy": {8088},
}
PORT_VARIABLES = {
    "USER_API_PORT": 20001,
    "USER_API_DIRECT_PORT": 20002,
    "OTLP_GRPC_PORT": 20003,
    "OTLP_HTTP_PORT": 20004,
    "ALLOY_PORT": 20005,
    "PROMETHEUS_PORT": 20006,
    "TEMPO_PORT": 20007,
    "LOKI_PORT": 20008,
    "GRAFANA_PORT": 20009,
    "JAEGER_PORT": 20010,
    "POSTGRES_PORT": 20011,
    "PROXY_PORT": 20012,
    "GREETER_PORT": 20013,
}
GIB = 1 << 30
OWN_IMAGE = "user-api:local"
KEY = token_urlsafe(50)
each_choice = pytest.mark.parametrize("choice", CHOICES, ids=str)


def published(service: dict[str, Any]) -> set[int]:
    return {int(port["published"]) for port in service.get("ports", ())}


@each_choice
def test_compose_own_names_need_no_proxy(choice: Choice) -> None:
    """Docker gives each container the proxy of its configuration: HTTP_PROXY, NO_PROXY and the like."""
    found = services(choice, NO_PROXY="example.com")
    names = set(found) - ONE_SHOT - WORKERS
    names.update(*((one["networks"]["default"] or {}).get("aliases", ()) for one in found.values()))
    for name, service in found.items():
        for variable in ("NO_PROXY", "no_proxy"):
            listed = service["environment"][variable].split(",")
            assert {"localhost", "127.0.0.1", "example.com"} | names <= set(listed), name


@each_choice
def test_compose_services_of_profiles(choice: Choice) -> None:
    mode, _, load = choice.profiles.partition(",")
    if choice.file == "docker-compose.direct.yml":
        mode = "jaeger" if mode == "jaeger" else "direct"
    assert set(services(choice)) == BACKENDS | OF_PROFILE[mode] | ({load} if load else set())


@each_choice
def test_compose_ports_on_loopback(choice: Choice) -> None:
    for name, service in services(choice).items():
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}
        expected = PORTS.get(name, set())
        if name == "user-api-direct" and choice.file == "docker-compose.direct.yml":
            expected = PORTS["user-api"]
        assert published(service) == expected, name


def test_compose_ports_by_variables() -> None:
    variables = {name: str(port) for name, port in PORT_VARIABLES.items()}
    main = services(Choice("docker-compose.yml", "compare,proxy"), **variables)
    direct = services(Choice("docker-compose.direct.yml", "jaeger,proxy"), **variables)
    moved = {port for found in (main, direct) for service in found.values() for port in published(service)}
    assert moved == set(PORT_VARIABLES.values())
    assert published(direct["user-api-direct"]) == {PORT_VARIABLES["USER_API_PORT"]}
    assert direct["user-api-direct"]["environment"]["USERAPI_CONSOLE_URL"] == "http://localhost:20009"


@each_choice
def test_compose_waits_for_the_database_alone(choice: Choice) -> None:
    found = services(choice)
    for name in {"user-api", "user-api-direct"} & set(found):
        assert found[name]["depends_on"] == {**MIGRATED, "greeter": STARTED}
    assert found["worker"]["depends_on"] == {**MIGRATED, "greeter": HEALTHY}  # a task is tried once
    assert found["greeter"]["depends_on"] == {"migrate": MIGRATED["migrate"]}
    assert found["migrate"]["depends_on"] == {"postgres": MIGRATED["postgres"]}
    for name in set(found) - {"user-api", "user-api-direct", "worker", "greeter", "migrate", "load"}:
        assert all(one == STARTED for one in found[name].get("depends_on", {}).values()), name
    if "load" in found:
        waited = found["load"]["depends_on"]
        assert {one["condition"] for one in waited.values()} == {"service_healthy"}
        assert {name for name, one in waited.items() if one["required"]} <= set(found)
        assert {"user-api", "user-api-direct"} & set(found) <= set(waited)


def test_compose_images_pinned() -> None:
    for name, service in everything().items():
        if service["image"] != OWN_IMAGE:
            assert "build" not in service, name
            assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+(\.\d+)?", service["image"]), name


@each_choice
def test_compose_image_built_once(choice: Choice) -> None:
    """Docker's containerd image store refuses a second build of the same tag at the same time."""
    found = services(choice)
    (builder,) = [name for name, service in found.items() if "build" in service]
    assert found[builder]["build"]["dockerfile"] == "deploy/Dockerfile"
    assert found[builder]["build"]["context"] == str(ROOT)
    of_the_image = {name for name, service in found.items() if service["image"] == OWN_IMAGE}
    assert builder in of_the_image
    for name in of_the_image:
        assert found[name]["pull_policy"] == "never", name
        assert name == builder or builder in waited_for(found, name), f"{name} can start before its image is built"


def waited_for(found: dict[str, dict[str, Any]], name: str) -> set[str]:
    """Return the services that `name` depends on, directly or through others; they are part of `up NAME` as well."""
    direct = set(found[name].get("depends_on", ())) & set(found)
    return direct.union(*(waited_for(found, one) for one in direct))


@pytest.mark.parametrize("name", sorted(set(PORTS) | ONE_SHOT | WORKERS))
def test_compose_hardened(name: str) -> None:
    service = everything()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    limits = service["deploy"]["resources"]["limits"]
    assert limits["cpus"] <= 1
    assert limits["pids"] == 256
    assert 0 < int(limits["memory"]) <= GIB
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
    assert service.get("user", "") not in {"root", "0"}
    for volume in service.get("volumes", ()):
        assert volume["type"] == "volume" or volume["read_only"], volume
        assert "docker.sock" not in volume["source"]


@pytest.mark.parametrize("name", sorted(set(PORTS) | ONE_SHOT | WORKERS))
def test_compose_health_and_restart(name: str) -> None:
    service = everything()[name]
    if name in ONE_SHOT:
        assert service["healthcheck"] == {"disable": True}
        assert service["restart"] in {"no", "on-failure:3"}
        return
    assert service["restart"] == "unless-stopped"
    if name in WORKERS:
        assert service["healthcheck"] == {"disable": True}
        return
    if service["image"] == OWN_IMAGE:  # its health check is in the Dockerfile
        assert "\nHEALTHCHECK " in (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    else:
        assert service["healthcheck"]["test"][0] == "CMD"  # CMD-SHELL needs a shell, which most images lack
        # Known to newer engines only, which refuse to start then.
        assert "start_interval" not in service["healthcheck"]


def test_compose_containers_named_after_services() -> None:
    names = {name: service["container_name"] for name, service in everything().items()}
    assert names.pop("grafana-jaeger") == "grafana"
    assert names == {name: name for name in names}


def test_compose_stop_longer_than_flush() -> None:
    gunicorn = (ROOT / "deploy" / "gunicorn.conf.py").read_text(encoding="utf-8")
    graceful = re.search(r"^graceful_timeout = (\d+)", gunicorn, re.MULTILINE)
    assert graceful
    for name in ("user-api", "user-api-direct"):
        assert seconds(everything()[name]["stop_grace_period"]) >= int(graceful[1]) + 5
    # Alloy tries for a minute to write to a Prometheus that is down.
    assert seconds(everything()["alloy"]["stop_grace_period"]) > 60


def seconds(duration: str) -> int:
    found = re.fullmatch(r"(?:(\d+)m)?(\d+)s", duration)
    assert found, duration
    return int(found[1] or 0) * 60 + int(found[2])


@each_choice
def test_compose_stops_senders_before_receivers(choice: Choice) -> None:
    """Containers stop in the opposite order: who calls or writes ends first, and finds the other one at work."""
    found = services(choice)
    for caller in {"user-api", "user-api-direct", "worker"} & set(found):
        assert "greeter" in waited_for(found, caller), caller
    for name, receivers in {"alloy": {"tempo", "loki", "prometheus"}, "tempo": {"prometheus"}}.items():
        if name in found:
            assert waited_for(found, name) >= receivers, name


def test_compose_telemetry_waits_on_volumes() -> None:
    """Backends may end before what sends to them: nothing is dropped then, and no two services share a spool."""
    senders = {
        name: service
        for name, service in everything().items()
        if service.get("environment", {}).get("TELEMETRY_MODE") in {"collector", "direct"}
    }
    assert set(senders) == {"user-api", "user-api-direct", "greeter", "worker"}
    volumes = set()
    for name, service in senders.items():
        assert service["environment"]["TELEMETRY_SPOOL_DIR"] == "/spool", name
        (volume,) = service["volumes"]
        assert (volume["type"], volume["target"]) == ("volume", "/spool"), name
        volumes.add(volume["source"])
    assert len(volumes) == len(senders)


def test_compose_tmpfs_belong_to_their_user() -> None:
    """Before runc 1.1.8 a folder of the image keeps its own mode, whatever `mode` says: nginx could not write to it."""
    users = {"postgres": "999", "101:101": "101"}
    for name, service in everything().items():
        for mount in set(service["tmpfs"]) - {"/tmp:mode=1777,size=64m"}:  # noqa: S108  (images have it, open to all)
            assert f"uid={users[service['user']]}," in mount, f"{name}: {mount}"


def test_compose_files_agree() -> None:
    main = config(Choice("docker-compose.yml", "direct,load"))
    alone = config(Choice("docker-compose.direct.yml", "direct,load"))
    for found in (main, alone):
        del found["services"]["user-api-direct"]["ports"]
        for name in ("user-api-direct", "load"):
            found["services"][name].pop("profiles", None)
        # Not there, not required.
        found["services"]["load"]["depends_on"].pop("user-api", None)
        found["services"]["load"]["depends_on"]["user-api-direct"].pop("required")
        found["volumes"].pop("alloy-data", None)
    assert main == alone


def test_compose_modes_differ_in_telemetry_alone() -> None:
    both = services(Choice("docker-compose.yml", "compare"))
    environments = [both[name]["environment"] for name in ("user-api", "user-api-direct")]
    assert [one.pop("TELEMETRY_MODE") for one in environments] == ["collector", "direct"]
    assert environments[0].pop("OTEL_EXPORTER_OTLP_ENDPOINT") == "http://alloy:4317"
    assert environments[0].pop("OTEL_EXPORTER_OTLP_HEADERS") == environments[1].pop("METRICS_TOKEN") == ""
    assert environments[1].pop("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "http://traces:4317"
    assert environments[1].pop("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT") == "http://loki:3100/otlp/v1/logs"
    assert environments[0] == environments[1]


@each_choice
def test_compose_greetings_in_every_profile(choice: Choice) -> None:
    """The service calls the greeter, whose telemetry and the worker's go straight to what runs."""
    found = services(choice)
    for name in {"user-api", "user-api-direct", "worker"} & set(found):
        environment = found[name]["environment"]
        assert (environment["USERAPI_GREETER_URL"], environment["TELEMETRY_INSTRUMENT"]) == (
            "http://greeter:8080",
            "requests",
        )
    for name in ("greeter", "worker"):
        environment = {
            key: value for key, value in found[name]["environment"].items() if key.startswith(("TEL", "OTE"))
        }
        config = TelemetryConfig.from_env(environment)
        # In collector mode Alloy would be the one to count what they send.
        assert (config.mode, config.metrics.exporter, config.warnings) == ("direct", "otlp", ())
        assert [urlsplit(each.endpoint).hostname for each in (config.traces, config.metrics, config.logs)] == [
            "traces",
            "prometheus",
            "loki",
        ]


def test_compose_traces_go_to_the_one_that_runs() -> None:
    tempo = services(Choice("docker-compose.direct.yml", "direct"))["tempo"]
    with_jaeger = services(Choice("docker-compose.direct.yml", "jaeger"))
    for service in (tempo, with_jaeger["jaeger"]):
        assert service["networks"]["default"]["aliases"] == ["traces"]
    assert with_jaeger["grafana-jaeger"]["environment"]["TRACES_UID"] == "jaeger"
    assert with_jaeger["grafana-jaeger"]["networks"]["default"]["aliases"] == ["grafana"]


@pytest.mark.parametrize("missing", ["DJANGO_SECRET_KEY", "POSTGRES_PASSWORD", "COMPOSE_PROFILES"])
@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.direct.yml"])
def test_compose_nothing_starts_without_secrets(file: str, missing: str) -> None:
    answer = run(Choice(file, "collector"), **{**SECRETS, missing: ""})
    assert answer.returncode != 0
    assert missing in answer.stderr
    assert "make secrets" in answer.stderr


def test_compose_secrets_reach_those_that_need_them() -> None:
    needed = {
        "DJANGO_SECRET_KEY": {"user-api", "user-api-direct", "worker", "migrate", "load"},
        "POSTGRES_PASSWORD": {"postgres", "user-api", "user-api-direct", "worker", "migrate", "load"},
        "DJANGO_SUPERUSER_PASSWORD": {"migrate"},
    }
    for variable, names in needed.items():
        having = {name for name, service in everything().items() if SECRETS[variable] in str(service)}
        assert having == names, variable


# Why a variable of the production checklist is not read from .env.
NOT_IN_ENV = {
    "DATABASE_URL": "the stack has its own database",
    "OTEL_RESOURCE_ATTRIBUTES": "made of DEPLOYMENT_ENVIRONMENT",
    "TELEMETRY_SPOOL_DIR": "the volume's folder",
    "TELEMETRY_FLUSH_TIMEOUT": "stop_grace_period depends on it",
    "USERAPI_MAX_BODY_BYTES": "the proxy's limit is the same",
    "SCRIPT_NAME": "scrapes and the load generator have no prefix",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "a file, which has to be mounted",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "likewise",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": "likewise",
}
OF_ONE_CONTAINER = {
    "ALLOY_METRICS": "alloy",
    "ALLOY_TRACES": "alloy",
    "METRICS_TOKEN": "user-api-direct",
    "OTEL_EXPORTER_OTLP_HEADERS": "user-api",
}


def test_compose_production_checklist_in_env() -> None:
    checklist = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", checklist))
    assert names >= set(NOT_IN_ENV) | set(OF_ONE_CONTAINER)
    found = services(Choice("docker-compose.yml", "compare"), **{name: f"value-of-{name}" for name in names})
    for name in names:
        containers = {OF_ONE_CONTAINER[name]} if name in OF_ONE_CONTAINER else {"user-api", "user-api-direct"}
        having = {one for one in containers if f"value-of-{name}" in str(found[one]["environment"].get(name))}
        assert having == (set() if name in NOT_IN_ENV else containers), name
    for name in ("TELEMETRY_PRIVACY", "TELEMETRY_REDACT"):
        assert {found[one]["environment"][name] for one in ("greeter", "worker")} == {f"value-of-{name}"}


@pytest.mark.parametrize("name", ["user-api", "user-api-direct"])
def test_compose_service_starts_with_what_env_leaves_empty(name: str) -> None:
    both = services(Choice("docker-compose.yml", "compare"), DJANGO_SECRET_KEY=KEY)
    environment = both[name]["environment"]
    assert "" in environment.values()
    answer = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert "no issues" in answer.stdout, answer.stderr
