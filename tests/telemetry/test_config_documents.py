"""The documents name every variable and describe it correctly."""

import re
from pathlib import Path

import pytest

from telemetry.config.reader import Variable
from telemetry.config.table import markdown, renewed
from telemetry.config.values import SIGNALS
from telemetry.config.variables import VARIABLES

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = ROOT / "docs" / "configuration.md"


def test_configuration_table_current() -> None:
    """Else: python -m telemetry.config.table docs/configuration.md"""
    text = CONFIGURATION.read_text(encoding="utf-8")
    assert renewed(text) == text


def test_table_line_for_each_variable() -> None:
    assert len(markdown().splitlines()) == len(VARIABLES) + 2


@pytest.mark.parametrize("variable", [v for v in VARIABLES if v.per_signal], ids=lambda variable: variable.name)
def test_table_forms_for_signals(variable: Variable[object]) -> None:
    assert all(f"`{variable.for_signal(signal).name}`" in markdown() for signal in SIGNALS)


def test_table_cells_without_separators() -> None:
    assert {line.count("|") for line in markdown().splitlines()} == {5}


def test_table_document_without_markers() -> None:
    with pytest.raises(ValueError, match="0 pairs of markers"):
        renewed("nothing")


def test_table_written_twice_is_the_same() -> None:
    once = renewed("a\n<!-- configuration -->\nold\n<!-- /configuration -->\nb")
    assert renewed(once) == once


def variables_of_service() -> set[str]:
    files = [*(ROOT / "userapi").glob("*.py"), ROOT / "deploy" / "gunicorn.conf.py"]
    sources = [path.read_text(encoding="utf-8") for path in files]
    read = r"(?:env\.(?:text|boolean|integer|names)|environ\.get)\(\s*\"([A-Z_]+)\""
    return {name for source in sources for name in re.findall(read, source)}


def test_configuration_variables_of_service() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)`", CONFIGURATION.read_text(encoding="utf-8"), re.MULTILINE))
    assert documented - {variable.name for variable in VARIABLES} == variables_of_service()
