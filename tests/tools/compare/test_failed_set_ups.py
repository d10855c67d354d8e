"""A set-up that fails leaves the results of the others."""

import sys
from typing import Any

import pytest

from telemetry.tools.compare.scenarios.context import Context, Scenario
from telemetry.tools.compare.scenarios.freshness import Freshness
from telemetry.tools.compare.scenarios.loss import Loss
from telemetry.tools.compare.scenarios.scale import Scale
from telemetry.tools.compare.setups.service import ServiceError


@pytest.mark.parametrize("kind", [Freshness, Loss, Scale])
def test_every_set_up_is_tried(kind: type[Scenario], context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_context: object, variant: Any, *_: object, **__: object) -> None:
        raise ServiceError(f"{variant.key} does not start")

    monkeypatch.setattr(sys.modules[kind.__module__], "Run", run)
    scenario = kind(context)
    scenario.steps()[-1].run()
    reasons = [problem.rpartition(": ")[2] for problem in scenario.found_problems()]
    assert reasons == [f"{key} does not start" for key in context.options.variants]


def test_loss_keeps_what_was_played_beside_a_failure(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def play(_self: object, _kind: object, variant: Any) -> dict[str, Any]:
        if variant.key == "collector-grpc":
            raise TimeoutError("too late")
        return {"key": variant.key}

    monkeypatch.setattr(Loss, "_play", play)
    loss = Loss(context)
    loss.steps()[-1].run()
    assert loss.result()["runs"] == [{"key": "direct"}]
    assert loss.found_problems() == ["loss, calm, collector, gRPC: too late"]
