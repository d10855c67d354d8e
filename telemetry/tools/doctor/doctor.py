"""`Doctor`: from the effective configuration to the last hop."""

import os
from collections.abc import Mapping
from typing import Any

from telemetry.config import TelemetryConfig
from telemetry.status import running_services
from telemetry.tools.doctor import configuration
from telemetry.tools.doctor.configuration import Running
from telemetry.tools.doctor.course import HOPS, Course
from telemetry.tools.doctor.places import Places
from telemetry.tools.doctor.service import Service
from telemetry.tools.doctor.walk import Finding, Walk

_MARGIN_SECONDS = 30.0
_SCRAPE_SECONDS = 15.0
_DIRECT_PORT = 8081


class Doctor:
    """Follows one request through every hop of the current mode, once."""

    def __init__(
        self,
        places: Places,
        walk: Walk,
        path: str,
        wait: float | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`wait` is how many seconds telemetry may take to arrive; None: derived from the configuration."""
        self._places = places
        self._walk = walk
        self._path = path
        self._wait = wait
        self._environ = environ
        self._config: TelemetryConfig | None = None
        self._running: Running | None = None
        self.service: Service | None = None
        self.trace_id = ""

    @property
    def mode(self) -> str:
        """The mode that is examined; empty if the configuration cannot be read."""
        return self._config.mode if self._config else ""

    def run(self) -> None:
        """Check every hop."""
        configured = self._walk.hop("configuration", "", self._configure)
        if self._config is None or self.service is None or configured.stops:
            for name in HOPS:
                self._walk.hop(name, "", lambda: Finding(""), [configured])
            return
        self._walk.wait = self._wait or _likely_wait(self._config)
        course = Course(
            self._walk,
            self._places,
            config=self._config,
            examined=self.service,
            running=self._running,
            path=self._path,
        )
        try:
            course.run()
        finally:
            self.trace_id = course.trace_id

    def _configure(self) -> Finding:
        config = configuration.from_environment(self._environ)
        services = running_services()
        found, choice = None, ""
        if "service" not in self._places.given:
            # A service that does not listen takes no requests.
            found, choice = configuration.chosen([one for one in services if configuration.urls_of(one)], config)
        self.service = self._places.service(_default_url(config, found))
        found = found or configuration.listening_at(services, self.service.base)
        self._running = configuration.running_service(found, self._places.timeout)
        self._config, differences = configuration.effective(config, self._running)
        return configuration.assessed(self._config, differences, choice)


def _default_url(config: TelemetryConfig, found: dict[str, Any] | None) -> str:
    """Return the likely URL of the service: where it runs, else at the usual port of its mode."""
    if found:
        return configuration.urls_of(found)[0]
    return f"http://127.0.0.1:{_DIRECT_PORT}" if config.mode == "direct" else Service.default_url


def _likely_wait(config: TelemetryConfig) -> float:
    pushed = config.metrics.exporter == "otlp"
    return _MARGIN_SECONDS + (config.metric_export_interval if pushed else _SCRAPE_SECONDS)
