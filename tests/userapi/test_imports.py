"""A process of the service imports what its requests need, and nothing that only some of them do."""

import os
import subprocess
import sys

from tests.support.service import ROOT

PROGRAM = "import sys, userapi.wsgi, userapi.urls; print(*sys.modules)"
# The OpenAPI document's, and the cipher's of cursors.
UNNEEDED = {"drf_spectacular.openapi", "drf_spectacular.views", "django.test", "jinja2", "unittest", "cryptography"}


def test_imports_of_the_addresses() -> None:
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=os.environ, check=True, capture_output=True, text=True
    )
    found = set(program.stdout.split())
    assert "userapi.users.views" in found
    assert not found & UNNEEDED
