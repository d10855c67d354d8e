"""docs/failures.md names what is retried, and what is lost, as the transports judge it."""

import re
from typing import Any

import grpc
import pytest

from telemetry.exporting.transports import otlp_grpc, otlp_http
from telemetry.exporting.transports.answers import REFUSED, TIMEOUT, UNAVAILABLE
from tests.documents.documents import Document
from tests.support.service import ROOT

ROWS = [line for line in Document(ROOT / "docs" / "failures.md").text.splitlines() if line.startswith("| ")]
RETRIED = {row.rpartition("`")[0].rpartition("`")[2]: row for row in ROWS if len(row.strip("|").split("|")) == 2}
(LOST,) = (row for row in ROWS if row.startswith("| refused: "))


def statuses(row: str) -> set[int]:
    return {int(status) for status in re.findall(r"\b[1-5]\d\d\b", row)}


def codes(row: str) -> set[str]:
    return {name for name in re.findall(r"`([A-Z_]+)`", row) if name in grpc.StatusCode.__members__}


class Failed:
    """A failed call, without a RetryInfo."""

    def __init__(self, name: str) -> None:
        self._name = name

    def code(self) -> Any:
        return grpc.StatusCode[self._name]

    def details(self) -> str:
        return ""

    def trailing_metadata(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize("reason", [UNAVAILABLE, TIMEOUT, REFUSED])
def test_failures_that_are_retried(reason: str) -> None:
    by_status = {status: otlp_http.judge("traces", status, {}, b"") for status in range(100, 600)}
    retried = {status for status, answer in by_status.items() if answer.retryable and answer.reason == reason}
    assert statuses(RETRIED[reason]) == retried
    by_code = {name: otlp_grpc.failure(Failed(name)) for name in grpc.StatusCode.__members__}
    names = {name for name, answer in by_code.items() if answer.retryable and answer.reason == reason}
    assert codes(RETRIED[reason]) - {"RESOURCE_EXHAUSTED"} == names


def test_failures_that_are_lost() -> None:
    assert statuses(LOST)
    assert codes(LOST)
    for status in statuses(LOST):
        assert not otlp_http.judge("traces", status, {}, b"").retryable, status
    for name in codes(LOST):
        assert not otlp_grpc.failure(Failed(name)).retryable, name
