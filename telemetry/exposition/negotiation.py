"""Content negotiation: the format of a scrape, by the Accept header of its request."""

import math
from enum import Enum


class Format(Enum):
    """The formats, with their content types as values."""

    PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


_MAX_HEADER = 4096
_OPENMETRICS_VERSIONS = {"", "1.0.0", "1.0"}


def choose_format(accept: str) -> Format:
    """Return OpenMetrics if it is accepted with at least the quality of plain text, else the Prometheus text format.

    Invalid parts are ignored, and no header is refused: any answer is more useful than none.
    """
    openmetrics = plain = wildcard = -1.0
    for part in accept[:_MAX_HEADER].lower().split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        named = dict(_parameter(parameter) for parameter in parameters)
        quality = _quality(named.get("q", "1"))
        if media == "application/openmetrics-text" and named.get("version", "") in _OPENMETRICS_VERSIONS:
            openmetrics = max(openmetrics, quality)
        elif media == "text/plain":
            plain = max(plain, quality)
        elif media in {"*/*", "text/*"}:
            wildcard = max(wildcard, quality)
    if plain < 0:
        plain = wildcard
    return Format.OPENMETRICS if openmetrics > 0 and openmetrics >= plain else Format.PROMETHEUS


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip().strip('"')


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return min(max(quality, 0.0), 1.0) if math.isfinite(quality) else 0.0
