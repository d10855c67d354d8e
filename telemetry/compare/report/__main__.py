"""`python -m telemetry.compare.report` (`make report`): renew the README's table from docs/comparison/report.json."""

import sys
from pathlib import Path

from telemetry.compare.report.markdown import main

sys.exit(main(Path(__file__).resolve().parents[3]))
