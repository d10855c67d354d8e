"""`python -m telemetry.tools.compare.report [FOLDER]`: draw the report of FOLDER/report.json again.

Without a folder (`make report`): that of docs/comparison, and renew the README's tables from it.
"""

import json
import sys
from pathlib import Path

from telemetry.tools.compare.report import DATA, write
from telemetry.tools.compare.report.markdown import main

if sys.argv[1:]:
    folder = Path(sys.argv[1])
    write(json.loads((folder / DATA).read_text(encoding="utf-8")), folder)
else:
    sys.exit(main(Path(__file__).resolve().parents[4]))
