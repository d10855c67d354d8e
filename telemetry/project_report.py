"""A project's settings as rows of the report of the effective configuration."""

from typing import Any

from telemetry.config import TelemetryConfig
from telemetry.config.reader import DEFAULT
from telemetry.config.report import Row
from telemetry.project import Project


def rows(project: Project, config: TelemetryConfig) -> list[Row]:
    """Return one row for each setting, except for the name, which is a value of `config`."""
    attributes = {name: sorted(allowed) for name, allowed in project.metric_attributes.items()}
    values: dict[str, Any] = {
        "service_version": config.version_of(project.service_version),
        "metric_attributes": attributes,
        "untraced_paths": sorted(project.untraced),
        "metrics_path": project.metrics_path,
        "access_logger": project.access_logger,
    }
    return [Row(field, _named(field), value, _source(field, project, config)) for field, value in values.items()]


def _source(field: str, project: Project, config: TelemetryConfig) -> str:
    if field == "service_version" and "service.version" in dict(config.resource_attributes):
        return config.sources["resource_attributes"]
    return _named(field) if field in project.given else DEFAULT


def _named(field: str) -> str:
    return f"TELEMETRY[{field.upper()!r}]"
