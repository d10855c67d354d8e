"""The sampler that OTEL_TRACES_SAMPLER names."""

from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from telemetry.config import TelemetryConfig


def build_sampler(config: TelemetryConfig) -> Sampler:
    """Return the sampler that OTEL_TRACES_SAMPLER names.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
    """
    name = config.sampler.removeprefix("parentbased_")
    root: Sampler
    if name == "traceidratio":
        root = TraceIdRatioBased(1.0 if config.sampler_arg is None else config.sampler_arg)
    else:
        root = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}[name]
    return ParentBased(root) if config.sampler.startswith("parentbased_") else root


def request_sampler(config: TelemetryConfig) -> Sampler | None:
    """Return the sampler of request spans; None if all are sampled unless a parent decides otherwise."""
    return None if config.sampler == "parentbased_always_on" else build_sampler(config)
