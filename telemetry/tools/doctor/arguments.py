"""The arguments of the doctor and the audit that are more than a text."""

import argparse

_MOST_SECONDS = 3600


def seconds(text: str) -> float:
    """Read how long something may take; raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}; expected seconds above 0, up to {_MOST_SECONDS}")
    return value


def path(text: str) -> str:
    """Read the path of a request; raises ArgumentTypeError."""
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"invalid value {text!r}; expected a path that begins with /")
    return text
