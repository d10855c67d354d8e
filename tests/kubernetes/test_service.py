"""The manifests mean what the service's code means: variables, probes, budgets, memory."""

import ast
import re
from typing import Any

import pytest
from django.conf import settings

from telemetry.config import TelemetryConfig
from telemetry.config.values import SIGNALS
from telemetry.config.variables import FLUSH_TIMEOUT, JOURNAL_BYTES, VARIABLES
from tests.kubernetes import workloads as of
from tests.kubernetes.rendering import FOLDER, OVERLAYS, Document, environment_file, load, overlay
from tests.support.service import ROOT
from tests.telemetry.test_config_documents import variables_of_service
from userapi import __version__, health, middleware

GUNICORN = {"GUNICORN_CMD_ARGS"}  # https://docs.gunicorn.org/en/stable/settings.html
SIZES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def known_variables() -> set[str]:
    telemetry = {variable.name for variable in VARIABLES}
    telemetry |= {
        variable.for_signal(signal).name for variable in VARIABLES if variable.per_signal for signal in SIGNALS
    }
    return telemetry | variables_of_service() | GUNICORN


def user_api_containers(documents: list[Document]) -> list[Document]:
    return [one for _, _, one in of.containers(documents) if one["image"].startswith("user-api:")]


def test_variables_known(documents: list[Document]) -> None:
    """Each is one of the code's, or a part of one: `$(NAME)`."""
    found = [of.environment(documents, container) for container in user_api_containers(documents)]
    parts = {part for one in found for value in one.values() for part in re.findall(r"\$\((\w+)\)", str(value))}
    names = {name for one in found for name in one}
    assert parts <= names
    assert names - parts <= known_variables()


@pytest.mark.parametrize("name", OVERLAYS)
def test_variables_accepted(name: str) -> None:
    documents = overlay(name)
    container = of.pod(of.named(documents, "Deployment", "user-api"))["containers"][0]
    environment = {key: str(value) for key, value in of.environment(documents, container).items()}
    config = TelemetryConfig.from_env({key: re.sub(r"\$\(\w+\)", "x", value) for key, value in environment.items()})
    assert config.mode == name.partition("-")[0]
    assert config.incoming_context == "link"
    assert not config.warnings


def test_secret_template_without_secrets() -> None:
    template = environment_file(FOLDER / "base" / "secret.example.env")
    assert set(template) <= known_variables()
    assert not any(template.values())


def test_service_image_is_this_version(documents: list[Document]) -> None:
    assert {one["image"] for one in user_api_containers(documents)} == {f"user-api:{__version__}"}


def test_probes_real_paths(documents: list[Document]) -> None:
    probes = [
        container[kind]["httpGet"]["path"]
        for container in user_api_containers(documents)
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
        if kind in container
    ]
    assert {path: middleware._PROBES[path] for path in probes} == {"/livez": health.livez, "/readyz": health.readyz}


def test_readiness_probe_longer_than_the_service_asks_the_database(documents: list[Document]) -> None:
    container = of.pod(of.named(documents, "Deployment", "user-api"))["containers"][0]
    assert container["readinessProbe"]["timeoutSeconds"] > health.READY_TIMEOUT


def gunicorn_setting(name: str) -> Any:
    """Return a value of deploy/gunicorn.conf.py."""
    for line in ast.parse((ROOT / "deploy" / "gunicorn.conf.py").read_text(encoding="utf-8")).body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) and line.targets[0].id == name:
            return ast.literal_eval(line.value)
    raise LookupError(name)


def test_grace_above_all_budgets(documents: list[Document]) -> None:
    deployment = of.named(documents, "Deployment", "user-api")
    container = of.pod(deployment)["containers"][0]
    environment = of.environment(documents, container)
    given = re.search(r"--graceful-timeout[= ](\d+)", environment["GUNICORN_CMD_ARGS"])
    graceful = int(given[1]) if given else gunicorn_setting("graceful_timeout")
    flush = float(environment.get("TELEMETRY_FLUSH_TIMEOUT", str(FLUSH_TIMEOUT.default)))
    pre_stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pre_stop > 0
    assert of.pod(deployment)["terminationGracePeriodSeconds"] >= pre_stop + graceful + flush


def test_shared_memory_holds_the_journal_and_the_spool(documents: list[Document]) -> None:
    pod = of.pod(of.named(documents, "Deployment", "user-api"))
    (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["mountPath"] == "/dev/shm"]  # noqa: S108
    (volume,) = [volume["emptyDir"] for volume in pod["volumes"] if volume["name"] == mount["name"]]
    assert volume["medium"] == "Memory"
    limit = volume["sizeLimit"]
    journal = gunicorn_setting("workers") * JOURNAL_BYTES.default_value
    assert int(limit[:-2]) * SIZES[limit[-2:]] > journal + len(SIGNALS) * (16 << 20)


def test_user_is_that_of_the_image(documents: list[Document]) -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    ((user, group),) = re.findall(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    for workload in of.workloads(documents):
        if of.labels(workload)["app.kubernetes.io/name"] == "user-api":
            context = of.pod(workload)["securityContext"]
            assert (context["runAsUser"], context["runAsGroup"]) == (int(user), int(group))


def test_ingress_leads_to_the_service_and_keeps_slow_clients_off() -> None:
    (ingress,) = load(FOLDER / "ingress.yaml")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = of.named(overlay("direct"), "Service", path["backend"]["service"]["name"])
    assert path["backend"]["service"]["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    assert rule["host"] == environment_file(FOLDER / "base" / "service.env")["DJANGO_ALLOWED_HOSTS"]
    annotations = ingress["metadata"]["annotations"]
    assert all(name.startswith("nginx.org/") for name in annotations)  # F5's controller
    policy = of.named(overlay("direct"), "NetworkPolicy", "user-api-from-ingress")
    (peer,) = policy["spec"]["ingress"][0]["from"]
    assert of.selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": "nginx-ingress"})
    assert annotations["nginx.org/client-max-body-size"] == f"{settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024}k"
    for wanted in (
        "client_header_timeout",
        "client_body_timeout",
        "send_timeout",
        "location = /metrics { return 404; }",
    ):
        assert wanted in annotations["nginx.org/server-snippets"]
        assert wanted in (ROOT / "docs" / "production.md").read_text(encoding="utf-8")


def test_spool_ends_with_the_pod_as_documented() -> None:
    folder = environment_file(FOLDER / "base" / "service.env")["TELEMETRY_SPOOL_DIR"]
    pod = of.pod(of.named(overlay("direct"), "Deployment", "user-api"))
    (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["mountPath"] == folder]
    (volume,) = [one for one in pod["volumes"] if one["name"] == mount["name"]]
    assert "emptyDir" in volume
    for name in ("scaling.md", "failures.md"):
        text = " ".join((ROOT / "docs" / name).read_text(encoding="utf-8").split())
        assert re.search(r"`emptyDir`[^.]* survives a crash of the container", text), name
