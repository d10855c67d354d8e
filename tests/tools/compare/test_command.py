"""Command lines that are refused, before anything is started."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from telemetry.tools.compare.arguments import add_arguments, options_of, split_options
from telemetry.tools.management.commands.compare import Command
from tests.tools.compare.conftest import Ended


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--database", "postgres://u:secret@203.0.113.9/db"), "'203.0.113.9' is neither this machine"),
        (("--database", "postgres://u:secret@127.0.0.1:1/db"), "PostgreSQL cannot be used: "),
        (("--database", "postgres://u:secret@127.0.0.1:first/db"), "PostgreSQL cannot be used: Port could not be cast"),
        (("--set", "OTEL_EXPORTER_OTLP_ENDPOINT=198.51.100.1:4317"), "'198.51.100.1' is neither this machine"),
        (("--prometheus", "http://127.0.0.1:9090"), "--prometheus, --loki and one of --tempo and --jaeger"),
        (("--alloy", "/nowhere/alloy", "--scenarios", "scale"), "/nowhere/alloy is no executable file"),
        (("--rounds", "0"), "invalid value '0'; expected a whole number from 1 to 100"),
        (("--set", "NONSENSE"), "invalid value 'NONSENSE'; expected NAME=VALUE"),
        (("--variants", "elsewhere"), "invalid choice: 'elsewhere'"),
        (("--quick", "--publish"), "--quick and --publish exclude each other"),
        (("--scenarios", "cost", "--publish"), "--publish and --scenarios exclude each other"),
        (("--scenarios", "cost", "--faults", "calm"), "--faults needs --scenarios loss"),
        (("--scenarios", "cost", "--outage", "9"), "--outage needs --scenarios loss"),
        (("--postgres", "postgres://u@127.0.0.1/db"), "--postgres needs --scenarios conditions"),
        (("--scenarios", "conditions", "--variants", "direct-stdout"), "conditions needs --variants with one of"),
        (("--scenarios", "scale", "--keep-data"), "--keep-data needs --scenarios cost or conditions"),
        (("--otlp", "127.0.0.1:4317"), "--otlp and --otlp-traces belong to the backends behind them"),
        (("--merge", "a.json", "--quick", "--rate", "9"), "measures nothing: leave out --output, --quick, --rate"),
    ],
)
def test_command_line_that_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "compare", "--output", str(tmp_path / "report"), *arguments])
    assert ended.value.code in (1, 2)
    output = "".join(capsys.readouterr())
    assert message in output
    assert "secret" not in output
    assert not (tmp_path / "report" / "report.json").exists()


def test_values_given_to_the_service_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--quick", "--set", "SHOP_KEY=secret", "SHOP_URL=http://u:secret@127.0.0.1", "--set=A=secret", "--rate=9"]
    monkeypatch.setattr(sys, "argv", ["manage.py", "compare", *given])
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = options_of(vars(parser.parse_args(given)), "manage.py")
    assert options.command == "manage.py compare --quick --set SHOP_KEY=... SHOP_URL=... --set=A=... --rate=9"
    assert options.service_env["SHOP_KEY"] == options.service_env["A"] == "secret"


def test_options_of_gunicorn_are_read_as_a_shell_reads_them() -> None:
    assert split_options("--env 'NAME=two words' --threads 4") == ["--env", "NAME=two words", "--threads", "4"]
    with pytest.raises(argparse.ArgumentTypeError, match="no closing quotation"):
        split_options("--env 'NAME")


def test_command_line_is_refused_without_a_traceback(compare: Callable[..., Ended]) -> None:
    """By the process itself: an option that cannot be read, and one that must not be obeyed."""
    for option, value in (("--rounds", "0"), ("--database", "postgres://u:secret@203.0.113.9/db")):
        ended = compare(option, value)
        assert (ended.code in (1, 2), ended.report) == (True, {}), ended.output
        assert "Traceback" not in ended.output
        assert "secret" not in ended.output
