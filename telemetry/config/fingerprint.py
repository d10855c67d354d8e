"""A fingerprint of the exporter's settings in the environment: processes share an exporter only if theirs are equal."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from telemetry.config.variables import CONFIG_FILE, FIXED_CONVENTIONS

_PREFIXES = ("OTEL_", "TELEMETRY_", "METRICS_")


def environment_of(environ: Mapping[str, str]) -> str:
    """Return the fingerprint of `environ`, without variables set by telemetry itself."""
    ours = {name: value for name, value in environ.items() if name.startswith(_PREFIXES)}
    ours.pop(FIXED_CONVENTIONS[0], None)
    if path := environ.get(CONFIG_FILE.name, "").strip():
        with suppress(OSError):
            ours[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps(ours, sort_keys=True).encode()).hexdigest()[:16]
