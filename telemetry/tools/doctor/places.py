"""The addresses of the servers that the doctor queries: options, variables, defaults; and the servers to leave out."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from telemetry.tools.backends import Alloy, Backend, BackendError, Console, Grafana, Jaeger, Loki, Prometheus, Tempo
from telemetry.tools.backends.http import url_with_login
from telemetry.tools.doctor.service import Service

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


def described(name: str) -> str:
    """Return the help text of a server's option."""
    kind = KINDS[name]
    default = f"{kind.variable}, else {kind.default_url}"
    return f"URL of {kind.name} ({default}{'' if name == 'service' else f'; {NONE}: leave it out'})"


@dataclass(frozen=True, slots=True)
class Places:
    """The URLs given, by name of the server; those that are not given have their defaults."""

    given: Mapping[str, str]
    timeout: float
    grafana_login: tuple[str, str] | None = field(default=None, repr=False)
    """User and password of a Grafana whose URL has none."""
    options: frozenset[str] = frozenset()
    """The names of those given by options, not by variables."""

    @classmethod
    def read(
        cls, options: Mapping[str, str | None], timeout: float, environ: Mapping[str, str] = os.environ
    ) -> "Places":
        """Read options and variables; raises ValueError with one line for an invalid URL or options without effect.

        An option for a server takes precedence over the console's variable, as the console replaces all servers.
        """
        named = [name for name in _SERVERS if options.get(name) not in {None, NONE}]
        with_console = options.get("console") not in {None, NONE}
        if named and with_console:
            raise ValueError(f"--console replaces all servers: --{' and --'.join(named)} would have no effect")
        if named:
            environ = {name: value for name, value in environ.items() if name != Console.variable}
        given = {}
        for name, kind in KINDS.items():
            option, variable = options.get(name), environ.get(kind.variable, "").strip()
            url = option or variable
            if url and (url != NONE or name == "service"):  # there is always one
                try:
                    kind(url)
                except ValueError as error:
                    raise ValueError(f"{f'--{name}' if option else kind.variable}: {error}") from None
            if url:
                given[name] = url
        password = environ.get(Grafana.password_variable, "")
        login = (environ.get(Grafana.user_variable, "").strip() or "admin", password) if password else None
        return cls(given, timeout, login, frozenset(name for name in given if options.get(name)))

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
        url = self.url("grafana")
        if self.grafana_login and "@" not in self.given.get("grafana", ""):
            url = url_with_login(url, *self.grafana_login)
        return Grafana(url, self.timeout)

    def traces(self) -> Tempo | Jaeger | None:
        """Return the trace store: the one given; of two candidates, Tempo unless only Jaeger answers."""
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

    def console(self, offset: int = 0) -> Console | None:
        """Return the console if it replaces all servers: if it is given, or if it answers and no server is given.

        `offset` is by how much the receivers' ports differ from the usual ones: `--port-offset` moves the console too.
        """
        if "console" in self.given:
            return None if self.left_out("console") else Console(self.given["console"], self.timeout)
        if any(name in self.given for name in _SERVERS):
            return None
        urls = [_moved(Console.default_url, offset), Console.default_url]
        return next((Console(url, self.timeout) for url in urls if self._is_console(url)), None)

    def _is_console(self, url: str) -> bool:
        try:
            Console(url, min(self.timeout, 1.0)).accounts()
        except (BackendError, KeyError, TypeError):  # Grafana has the same default address
            return False
        return True


def _moved(url: str, offset: int) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{(parts.port or 0) + offset}"


def _answers(backend: Backend) -> bool:
    try:
        backend.check_ready()
    except BackendError as error:
        return error.status is not None
    return True
