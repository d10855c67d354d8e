"""The standard limits: which variable decides, and a bad one is one line (tests/signals: they are obeyed)."""

import subprocess
import sys

from telemetry.config.limits import DEFAULT_LIMITS
from tests.support.service import ROOT
from tests.telemetry.environments import config

GENERAL = {"OTEL_ATTRIBUTE_COUNT_LIMIT": "7", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "20"}


def test_defaults_are_those_of_the_specification() -> None:
    assert config({}).limits == DEFAULT_LIMITS


def test_general_limits_are_for_all() -> None:
    limits = config(GENERAL).limits
    assert limits.span_attribute_count == limits.event_attribute_count == limits.link_attribute_count == 7
    assert limits.log_attribute_count == limits.attribute_count == 7
    assert limits.span_attribute_length == limits.log_attribute_length == limits.attribute_length == 20
    assert limits.span_event_count == limits.span_link_count == 128


def test_own_limits_win() -> None:
    own = {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "9", "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": "0"}
    limits = config(GENERAL | own).limits
    assert (limits.span_attribute_count, limits.log_attribute_count) == (9, 7)
    assert (limits.span_attribute_length, limits.log_attribute_length) == (20, 0)


def test_sources() -> None:
    sources = config(GENERAL | {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "9"}).sources
    assert sources["limits.span_attribute_count"] == "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"
    assert sources["limits.log_attribute_count"] == "derived from OTEL_ATTRIBUTE_COUNT_LIMIT"
    assert sources["limits.span_event_count"] == "default"


def test_bad_limit_stops_the_start_with_one_line() -> None:
    start = [sys.executable, "-c", "from telemetry.lifecycle import load_config; load_config()"]
    environ = {"OTEL_SPAN_LINK_COUNT_LIMIT": "a few", "DJANGO_SETTINGS_MODULE": "userapi.settings"}
    ended = subprocess.run(start, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    (line,) = ended.stderr.splitlines()
    assert line.startswith("telemetry: OTEL_SPAN_LINK_COUNT_LIMIT: invalid value 'a few'; expected a whole number ")
    assert ended.returncode == 1
