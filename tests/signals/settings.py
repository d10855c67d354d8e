"""The service's settings with a few more URLs."""

from userapi.settings import *  # noqa: F403

ROOT_URLCONF = "tests.signals.urls"
