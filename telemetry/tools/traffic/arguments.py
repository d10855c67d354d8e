"""The arguments that limit traffic, for the commands that send it."""

import argparse

_MAX_RATE = 200
_MAX_SECONDS = 86_400


def seconds(text: str) -> float:
    """Read the duration of traffic; raises ArgumentTypeError."""
    return number(text, "seconds", _MAX_SECONDS)


def rate(text: str) -> float:
    """Read a number of requests per second; raises ArgumentTypeError."""
    return number(text, "requests per second", _MAX_RATE)


def number(text: str, unit: str, most: int) -> float:
    """Read a number of `unit` above 0; raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= most:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}; expected {unit} above 0, at most {most}")
    return value
