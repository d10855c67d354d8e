"""The service's settings with the database connections of one variant, for tests.benchmarks.connections."""

import os

from userapi.settings import *  # noqa: F403
from userapi.settings import DATABASES

_DATABASE = DATABASES["default"]
match os.environ["BENCHMARK_VARIANT"]:
    case "anew":
        _DATABASE |= {"CONN_MAX_AGE": 0}
    case "unchecked":
        _DATABASE |= {"CONN_HEALTH_CHECKS": False}
    case "per thread":
        _DATABASE["OPTIONS"].pop("pool")
        _DATABASE |= {"CONN_MAX_AGE": None}
