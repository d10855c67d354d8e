"""The service's settings, in collector mode without the handler that passes log records on to OTLP: an easy mistake."""

import copy
import os

from userapi import settings
from userapi.settings import *  # noqa: F403

LOGGING = copy.deepcopy(settings.LOGGING)
if os.environ["TELEMETRY_MODE"] == "collector":
    LOGGING["root"]["handlers"].remove("otlp")
    LOGGING["loggers"]["axes"]["handlers"] = ["otlp"]  # without any, telemetry would add one
