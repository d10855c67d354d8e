"""`python -m tests.benchmarks.publish` (`make publish`): the published comparison, with a PostgreSQL of its own.

Further arguments go to `manage.py compare`, such as `--alloy PATH`.
"""

import argparse
import subprocess
import sys

from tests.support.postgres import postgres_server
from tests.support.service import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _, further = parser.parse_known_args()
    with postgres_server() as url:
        command = [sys.executable, "manage.py", "compare", "--publish", "--postgres", url, *further]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
