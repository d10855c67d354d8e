"""The service's settings with the URLs of a round."""

from userapi.settings import *  # noqa: F403

ROOT_URLCONF = "tests.contract.urls"
