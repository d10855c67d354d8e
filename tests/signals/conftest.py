"""A real service that sends everything to a real receiver."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from telemetry.tools.console.server import Console
from tests.signals.parts import VISITS
from tests.signals.visit import Visit, environment, visited
from tests.support.service import Service


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


@pytest.fixture
def start(console: Console, start_service: Callable[..., Service]) -> Callable[..., Service]:
    """A function that starts the service with one worker, the URLs of these tests and everything sent at its stop."""

    def start(*args: str, mode: str = "collector", **env: str) -> Service:
        return start_service("--workers=1", *args, **{**environment(console, mode), **env})

    return start


@pytest.fixture(scope="session")
def visit(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Callable[[str], Visit]:
    """A function that returns one of the visits that tests share, by its name in `VISITS`."""

    @cache
    def made(name: str) -> Visit:
        parts, args, env = VISITS[name]
        with visited(tmp_path_factory.mktemp("visit"), migrated_sqlite, parts, *args, **env) as (found, _):
            return found

    return made
