"""The service's settings, with the demo's own route added: `DJANGO_SETTINGS_MODULE` of a service in the demo."""

import os
from importlib import import_module

_service = import_module(os.environ["DEMO_SERVICE_SETTINGS"])
globals().update({name: value for name, value in vars(_service).items() if name.isupper()})

SERVICE_URLCONF = globals()["ROOT_URLCONF"]
ROOT_URLCONF = "telemetry.tools.demo.urls"
