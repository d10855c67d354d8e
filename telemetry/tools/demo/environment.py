"""The demo's own environment and folder, shared by its processes. Imports no Django."""

import argparse
import os
import secrets
import sys
import tempfile
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from urllib.parse import quote

from telemetry.tools.demo.ports import HOST, Mode, Ports, port_offset

ROOT = Path(__file__).resolve().parents[3]

# The caller's values are meant for another service: its database, its backends, its proxy.
_SET_ASIDE = (
    "DATABASE_",
    "DJANGO_",
    "GUNICORN_",
    "METRICS_TOKEN",
    "OTEL_",
    "PROMETHEUS_",
    "TELEMETRY_",
    "USERAPI_",
    "WEB_CONCURRENCY",
)
METRIC_SECONDS = 5
"""Seconds between two scrapes (direct) or two pushes (collector): the same, so that the modes can be compared."""
LOOPBACK = ("localhost", "127.0.0.1")


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that decide where the demo keeps its data."""
    parser.add_argument("--port-offset", type=port_offset, default=0, metavar="N", help="add N to every port")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="PATH",
        help="keep database and logs here (default: .demo, or .demo/offset-N with --port-offset N)",
    )


def demo_folder(folder: Path | None, offset: int) -> Path:
    """Return the demo's folder; its default depends on the ports, since several demos may run at once."""
    if folder is not None:
        return folder.absolute()
    return ROOT / ".demo" / f"offset-{offset}" if offset else ROOT / ".demo"


def database_file(folder: Path) -> Path:
    """Return where the demo's database is."""
    return folder / "db.sqlite3"


def prepare(arguments: Sequence[str], environ: MutableMapping[str, str] = os.environ) -> None:
    """Give `environ` what Django's settings need in the demo, and remove what is meant for another service.

    Must be called before Django's settings load; `arguments` are those after the command's name. Ends the process with
    one line if the folder cannot be used.
    """
    parser = argparse.ArgumentParser("manage.py demo", usage="manage.py demo --help", add_help=False)
    add_place_arguments(parser)
    given, _ = parser.parse_known_args(arguments)
    folder = demo_folder(given.folder, given.port_offset)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # an existing folder of an earlier demo may be read-only
        secret = _secret_key(folder / "secret-key")
    except OSError as error:
        sys.exit(f"demo: cannot write to the folder {folder}: {error.strerror}; choose another one with --folder")
    left_out = set_aside(environ)
    if left_out:
        print(f"demo: ignoring these environment variables: {', '.join(left_out)}", file=sys.stderr)  # noqa: T201
    environ.update(
        {
            "DATABASE_URL": f"sqlite:///{quote(str(database_file(folder)))}",
            "DJANGO_ALLOWED_HOSTS": ",".join(LOOPBACK),
            "DJANGO_HTTPS": "false",
            "DJANGO_SECRET_KEY": secret,
            "DJANGO_STATIC_ROOT": str(folder / "staticfiles"),
            "TELEMETRY_MODE": "off",
            "USERAPI_CONSOLE_URL": f"http://localhost:{Ports(given.port_offset).console}",
            "USERAPI_OPEN_ACCESS": "true",
        }
    )
    reach_loopback(environ)


def reach_loopback(environ: MutableMapping[str, str]) -> None:
    """Exempt loopback from proxies: the exporters use them, and no proxy reaches this machine's loopback."""
    for name in ("NO_PROXY", "no_proxy"):
        environ[name] = ",".join([*filter(None, [environ.get(name)]), *LOOPBACK])


def set_aside(environ: MutableMapping[str, str]) -> list[str]:
    """Remove what is meant for another service, and return its names."""
    left_out = sorted(name for name in environ if name.startswith(_SET_ASIDE) and name != "DJANGO_SETTINGS_MODULE")
    for name in left_out:
        del environ[name]
    # The caller's shell may be set up for a service other than this project's.
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    return left_out


def service_environment(mode: Mode, ports: Ports) -> dict[str, str]:
    """Return what the service in `mode` needs in addition to the environment that `prepare` made.

    Metrics are sent at short intervals, so that their arrival can be watched.
    """
    common = {
        "TELEMETRY_MODE": mode,
        "OTEL_METRIC_EXPORT_INTERVAL": str(METRIC_SECONDS * 1000),
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=demo",
        # A visitor's traceparent must not decide what arrives.
        "OTEL_TRACES_SAMPLER": "always_on",
        # The trace continues in the greeter.
        "TELEMETRY_INSTRUMENT": "requests",
        "USERAPI_GREETER_URL": f"http://{HOST}:{ports.greeter}",
    }
    if mode == "collector":
        endpoint = f"http://127.0.0.1:{ports.otlp_grpc}"
        return common | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    endpoint = f"http://127.0.0.1:{ports.otlp_http}"
    return common | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{endpoint}/v1/logs",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }


def hop_environment(ports: Ports, service: str, settings: str) -> dict[str, str]:
    """Return the environment of greeter and worker: they always push, because a worker has no port to scrape."""
    own = {"OTEL_SERVICE_NAME": service, "DJANGO_SETTINGS_MODULE": settings}
    return service_environment("collector", ports) | own


def _secret_key(file: Path) -> str:
    """Return the key in `file`, created by the first call, so that sessions outlive a restart of the demo."""
    if file.exists() and len(kept := file.read_text().strip()) >= 50:  # noqa: PLR2004  (else its write was cut short)
        return kept
    made = secrets.token_urlsafe(50)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(made)
    return made
