"""TELEMETRY_REDACT: what is accepted, and what stops the start."""

import os
import subprocess
import sys

import pytest

from telemetry.config import ConfigError, TelemetryConfig
from tests.support.service import ROOT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        (r"customer-\d+", (r"customer-\d+",)),
        (" a+b \n [a-z]{3}@x\t(?i:acme) ", ("a+b", "[a-z]{3}@x", "(?i:acme)")),
        (r"(?:ab|c+d)x*", (r"(?:ab|c+d)x*",)),
        (r"(?:[0-9]{1,4}-){3}[a-z_]+", (r"(?:[0-9]{1,4}-){3}[a-z_]+",)),
        (r"(?:(?:abc){2}[xy])+", (r"(?:(?:abc){2}[xy])+",)),
        (r"(?:[0-9]{4}-){3}[0-9]{4}", (r"(?:[0-9]{4}-){3}[0-9]{4}",)),
    ],
)
def test_redact_accepted(text: str, expected: tuple[str, ...]) -> None:
    assert TelemetryConfig.from_env({"TELEMETRY_REDACT": text}).redact == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("good (bad", "has an invalid regular expression in pattern 2"),
        ("a**", "has an invalid regular expression"),
        ("a*", "matches the empty text"),
        ("|x", "matches the empty text"),
        ("(a+)+b", "repeats a repetition"),
        ("(?:a*b?)*c", "matches the empty text|repeats a repetition"),
        ("(x(?:y|(z+)))*c", "repeats a repetition"),
        ("((?=a+)b)+", "repeats a repetition"),
        ("(a|aa)+b", "repeats a repetition or an alternative"),
        ("(a?a)+b", "repeats a repetition"),
        ("(a+){9}b", "repeats a repetition"),
        ("x" * 1001, "more than 1000 characters"),
        ("(" * 900 + ")" * 900, "more than 1000 characters"),
    ],
)
def test_redact_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        TelemetryConfig.from_env({"TELEMETRY_REDACT": text})
    assert caught.value.variable == "TELEMETRY_REDACT"
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("mode", ["collector", "off"])
def test_redact_bad_pattern_stops_the_start_with_one_line(mode: str) -> None:
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "deploy/gunicorn.conf.py",
        "--bind",
        "127.0.0.1:0",
        "userapi.wsgi",
    ]
    env = {**os.environ, "TELEMETRY_MODE": mode, "TELEMETRY_REDACT": "good (bad"}
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    lines = ended.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(
        "telemetry: TELEMETRY_REDACT: 'good (bad' has an invalid regular expression in pattern 2 (missing ), "
        "unterminated subpattern"
    )
    assert "; expected Python regular expressions separated by spaces" in lines[0]
