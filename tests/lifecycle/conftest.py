"""A real receiver beside a real service."""

from collections.abc import Iterator

import pytest

from telemetry.tools.console.server import Console
from tests.support.routes import PAIRS, Route


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


@pytest.fixture(params=PAIRS, ids=str)
def route(request: pytest.FixtureRequest) -> Route:
    chosen: Route = request.param
    return chosen
