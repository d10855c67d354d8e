"""Each overlay in turn."""

import pytest

from tests.kubernetes.rendering import OVERLAYS, Document, overlay


@pytest.fixture(params=OVERLAYS)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    return overlay(request.param)
