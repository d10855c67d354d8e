"""Where the servers are that the doctor asks: options, variables, defaults; and what is to be left out."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from telemetry.backends import Alloy, Backend, BackendError, Console, Grafana, Jaeger, Loki, Prometheus, Tempo
from telemetry.doctor.service import Service

#: In place of a URL: there is no such server.
NONE = "none"

KINDS: dict[str, type[Backend]] = {
    "service": Service,
    "alloy": Alloy,
    "prometheus": Prometheus,
    "tempo": Tempo,
    "jaeger": Jaeger,
    "loki": Loki,
    "grafana": Grafana,
    "console": Console,
}

_TRACES = ("tempo", "jaeger")
_SERVERS = ("alloy", "prometheus", "tempo", "jaeger", "loki", "grafana")


@dataclass(frozen=True, slots=True)
class Places:
    """The URLs given, by name of the server; those that are not given have their defaults."""

    given: Mapping[str, str]
    timeout: float

    @classmethod
    def read(
        cls, options: Mapping[str, str | None], timeout: float, environ: Mapping[str, str] = os.environ
    ) -> "Places":
        """Read options and variables; raises ValueError with one line for a URL that is none."""
        given = {}
        for name, kind in KINDS.items():
            option, variable = options.get(name), environ.get(kind.variable, "").strip()
            url = option or variable
            if url and url != NONE:
                try:
                    kind(url)
                except ValueError as error:
                    raise ValueError(f"{f'--{name}' if option else kind.variable}: {error}") from None
            if url:
                given[name] = url
        return cls(given, timeout)

    def left_out(self, name: str) -> bool:
        """Whether there is no such server."""
        return self.given.get(name) == NONE

    def url(self, name: str) -> str:
        return self.given.get(name) or KINDS[name].default_url

    def service(self, default: str) -> Service:
        return Service(self.given.get("service", default), self.timeout)

    def alloy(self) -> Alloy:
        return Alloy(self.url("alloy"), self.timeout)

    def prometheus(self) -> Prometheus:
        return Prometheus(self.url("prometheus"), self.timeout)

    def loki(self) -> Loki:
        return Loki(self.url("loki"), self.timeout)

    def grafana(self) -> Grafana:
        return Grafana(self.url("grafana"), self.timeout)

    def traces(self) -> Tempo | Jaeger | None:
        """Return what keeps the traces: the one that is given; of two that could, Tempo unless Jaeger alone answers."""
        names = [name for name in _TRACES if not self.left_out(name)]
        given = [name for name in names if name in self.given] or names
        servers: list[Tempo | Jaeger] = [
            Tempo(self.url(name), self.timeout) if name == "tempo" else Jaeger(self.url(name), self.timeout)
            for name in given
        ]
        if len(servers) < len(_TRACES):
            return next(iter(servers), None)
        tempo, jaeger = servers
        return jaeger if not _answers(tempo) and _answers(jaeger) else tempo

    def console(self) -> Console | None:
        """Return the console where it stands in for all servers: where it is given, or answers and none of them is."""
        if "console" in self.given:
            return None if self.left_out("console") else Console(self.given["console"], self.timeout)
        if any(name in self.given for name in _SERVERS):
            return None
        console = Console(Console.default_url, min(self.timeout, 1.0))
        try:
            console.totals()
        except (BackendError, KeyError, TypeError):  # Grafana listens there by default
            return None
        return Console(Console.default_url, self.timeout)


def _answers(backend: Backend) -> bool:
    try:
        backend.check_ready()
    except BackendError as error:
        return error.status is not None
    return True
