"""A real receiver beside a real service."""

from collections.abc import Iterator

import pytest

from telemetry.tools.console.server import Console


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console
