"""What the command that takes pictures makes of them. Taking them needs a Grafana that runs."""

import io
import sys
from unittest import mock

import pytest
from PIL import Image

from deploy.grafana.source import DASHBOARDS
from deploy.grafana.source.model import Dashboard
from tests.dashboards.pictures import WIDTH, height, main, small


def test_small_keeps_the_colour_of_a_thin_line_and_the_upper_part() -> None:
    picture = Image.radial_gradient("L").resize((WIDTH, 400)).convert("RGB")
    line = (184, 119, 217)
    picture.paste(line, (10, 50, WIDTH, 51))
    png = io.BytesIO()
    picture.save(png, "PNG")
    made = Image.open(io.BytesIO(small(png.getvalue(), 300)))
    assert made.mode == "P"
    assert made.size == (WIDTH, 300)
    assert made.convert("RGB").getpixel((700, 50)) == line


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_height_grows_with_the_rows(dashboard: Dashboard) -> None:
    heights = [height(dashboard, rows) for rows in range(1, len(dashboard.rows) + 1)]
    assert heights == sorted(set(heights))
    assert heights[-1] == height(dashboard)


def test_unknown_page_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with mock.patch.object(sys, "argv", ["pictures", "services"]), pytest.raises(SystemExit):
        main()
    assert "there is no page services; expected service, compare" in capsys.readouterr().err
