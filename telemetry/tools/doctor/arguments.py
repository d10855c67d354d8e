"""The arguments of the doctor and the audit that are more than a text."""

import argparse

from telemetry.tools.traffic.arguments import number

_MOST_SECONDS = 3600


def seconds(text: str) -> float:
    """Read how long something may take; raises ArgumentTypeError."""
    return number(text, "seconds", _MOST_SECONDS)


def path(text: str) -> str:
    """Read the path of a request; raises ArgumentTypeError."""
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"invalid value {text!r}; expected a path that begins with /")
    return text
