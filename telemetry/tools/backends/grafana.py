"""Grafana: its data sources, and whether it reaches them. https://grafana.com/docs/grafana/latest/developers/http_api/."""

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

from telemetry.tools.backends.http import Backend

_BAD_REQUEST = 400
_NOT_FOUND = 404
_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class DataSource:
    """One data source; `type` is prometheus, tempo, loki, jaeger, ..., `url` where Grafana queries it."""

    uid: str
    name: str
    type: str
    url: str


@dataclass(frozen=True, slots=True)
class DataSourceHealth:
    """The health of a data source according to Grafana; `ok` is None if its plugin has no check, or does not run."""

    ok: bool | None
    message: str


class Grafana(Backend):
    """A Grafana. Its API requires a user, which may be given in the URL."""

    name: ClassVar[str] = "Grafana"
    variable: ClassVar[str] = "TELEMETRY_GRAFANA_URL"
    default_url: ClassVar[str] = "http://admin:admin@localhost:3000"
    ready_path: ClassVar[str] = "/api/health"
    user_variable: ClassVar[str] = "TELEMETRY_GRAFANA_USER"
    password_variable: ClassVar[str] = "TELEMETRY_GRAFANA_PASSWORD"  # noqa: S105  (a variable's name)

    def version(self) -> str:
        """Return its version; raises BackendError if it is not Grafana or its database is down."""
        health = self.get_json("/api/health")
        if not isinstance(health, dict) or "database" not in health:
            raise self.error(f"{self.base}/api/health", "the answer is not from Grafana")
        if health["database"] != "ok":
            raise self.error(f"{self.base}/api/health", f"its database is {health['database']}", remedy="see its log")
        return str(health.get("version", ""))

    def data_sources(self) -> list[DataSource]:
        """Return the data sources."""
        return [
            DataSource(one["uid"], one["name"], one["type"], one.get("url", ""))
            for one in self.get_json("/api/datasources") or ()
        ]

    def data_source_health(self, uid: str) -> DataSourceHealth:
        """Return whether Grafana reaches a data source."""
        path = f"/api/datasources/uid/{quote(uid, safe='')}/health"
        answer = self.get(path, accepted=(_BAD_REQUEST, _NOT_FOUND, _UNAVAILABLE))
        health = self.decode(answer)
        message = str(health.get("message", ""))
        if "status" not in health:
            return DataSourceHealth(None, message)
        return DataSourceHealth(health["status"] == "OK", message)
