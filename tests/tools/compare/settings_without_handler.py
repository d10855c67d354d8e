"""The service's settings without the handler that passes log records on to OTLP: a mistake that is easily made."""

import copy

from userapi import settings
from userapi.settings import *  # noqa: F403

LOGGING = copy.deepcopy(settings.LOGGING)
LOGGING["root"]["handlers"].remove("otlp")
LOGGING["loggers"]["axes"]["handlers"] = ["otlp"]  # without any, telemetry would add one
