"""Command lines that are refused, before anything is started."""

from collections.abc import Callable

import pytest

from tests.tools.compare.conftest import Ended


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--database", "postgres://u:secret@203.0.113.9/db"), "'203.0.113.9' is neither this machine"),
        (("--set", "OTEL_EXPORTER_OTLP_ENDPOINT=198.51.100.1:4317"), "'198.51.100.1' is neither this machine"),
        (("--prometheus", "http://127.0.0.1:9090"), "--prometheus, --loki and one of --tempo and --jaeger"),
        (("--alloy", "/nowhere/alloy", "--scenarios", "scale"), "/nowhere/alloy is no executable file"),
        (("--rounds", "0"), "invalid value '0'; expected a whole number from 1 to 100"),
        (("--set", "NONSENSE"), "invalid value 'NONSENSE'; expected NAME=VALUE"),
        (("--variants", "elsewhere"), "invalid choice: 'elsewhere'"),
        (("--quick", "--publish"), "--quick and --publish exclude each other"),
    ],
)
def test_command_line_that_cannot_be_is_refused(
    compare: Callable[..., Ended], arguments: tuple[str, ...], message: str
) -> None:
    ended = compare(*arguments)
    assert ended.code in (1, 2)
    assert message in ended.output
    assert "Traceback" not in ended.output
    assert "secret" not in ended.output
    assert ended.report == {}
