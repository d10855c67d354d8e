"""docs/doctor.md names every option, variable and hop."""

import re
from pathlib import Path

import pytest

from telemetry.tools.doctor.places import KINDS
from tests.support.service import ROOT

DOCUMENT = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", KINDS)
def test_document_has_option_variable_and_default(name: str) -> None:
    kind = KINDS[name]
    line = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `--{name} URL` |"))
    assert f"`{kind.variable}`" in line
    assert f"`{kind.default_url}`" in line


def test_document_has_every_hop() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in Path(ROOT / "telemetry" / "tools" / "doctor").glob("*.py")
    )
    hops = set(re.findall(r"\.(?:hop|leave_out)\(\s*\"([a-z ]+)\"", source))
    assert len(hops) > 15
    assert {hop for hop in hops if f"`{hop}`" not in DOCUMENT} == set()
