"""The service's settings with a log in which the start of a process takes a second: it has joined by then."""

import copy
import time
from logging import LogRecord

from userapi import settings
from userapi.settings import *  # noqa: F403


def linger(record: LogRecord) -> bool:
    if record.name == "telemetry.server":
        time.sleep(1)
    return True


LOGGING = copy.deepcopy(settings.LOGGING)
LOGGING["filters"]["linger"] = {"()": lambda: linger}
LOGGING["handlers"]["console"].setdefault("filters", []).append("linger")
