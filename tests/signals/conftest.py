"""A real service that sends everything to a real receiver."""

from collections.abc import Callable, Iterator

import pytest

from telemetry.tools.console.server import Console
from tests.support.routes import LAZY, Route
from tests.support.service import Service


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


@pytest.fixture
def start(console: Console, start_service: Callable[..., Service]) -> Callable[..., Service]:
    """A function that starts the service with one worker, the URLs of these tests and everything sent at its stop."""

    def start(*args: str, mode: str = "collector", **env: str) -> Service:
        given = {**Route(mode, "grpc").env(console), **LAZY, "DJANGO_SETTINGS_MODULE": "tests.signals.settings"}
        return start_service("--workers=1", *args, **{**given, **env})

    return start
