"""The environment of a comparison: independent of the caller's configuration. Imports no Django."""

import os
import secrets
import sys
from collections.abc import MutableMapping

from telemetry.tools.demo.environment import LOOPBACK, reach_loopback, set_aside


def prepare(environ: MutableMapping[str, str] = os.environ) -> None:
    """Give `environ` what Django's settings need, and remove what is meant for another service.

    Must be called before Django's settings load.
    """
    left_out = set_aside(environ)
    if left_out:
        print(f"compare: ignoring these environment variables: {', '.join(left_out)}", file=sys.stderr)  # noqa: T201
    environ.update(
        {
            "DATABASE_URL": "sqlite:////nonexistent/compare-has-a-database-for-each-run",
            "DJANGO_ALLOWED_HOSTS": ",".join(LOOPBACK),
            "DJANGO_HTTPS": "false",
            "DJANGO_SECRET_KEY": secrets.token_urlsafe(50),
            "TELEMETRY_MODE": "off",
        }
    )
    reach_loopback(environ)


def isolate(environ: MutableMapping[str, str] = os.environ) -> None:
    """Remove from `environ` what would bias the comparison of a reader's project, and keep what the project needs."""
    for name in [name for name in environ if name.startswith(("OTEL_", "TELEMETRY_", "PROMETHEUS_", "COMPARE_"))]:
        del environ[name]
        print(f"compare: ignoring the environment variable {name}", file=sys.stderr)  # noqa: T201
    reach_loopback(environ)
