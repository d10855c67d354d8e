"""Rotel, an OTLP collector in a wheel, which is not there for every Python."""

from importlib.util import find_spec

import pytest

HAS_ROTEL = find_spec("rotel") is not None
needs_rotel = pytest.mark.skipif(not HAS_ROTEL, reason="rotel is not installed (make test installs it)")
