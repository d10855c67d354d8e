"""What an environment is read as: a configuration, its traces, or its first error."""

from collections.abc import Mapping

import pytest

from telemetry.config import ConfigError, SignalConfig, TelemetryConfig


def config(environ: Mapping[str, str]) -> TelemetryConfig:
    return TelemetryConfig.from_env(environ)


def traces(**environ: str) -> SignalConfig:
    return config(environ).traces


def error(environ: Mapping[str, str]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        TelemetryConfig.from_env(environ)
    return caught.value
