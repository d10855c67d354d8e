"""The service's settings with a few more URLs that misbehave, for tests of failures."""

from userapi.settings import *  # noqa: F403

ROOT_URLCONF = "tests.support.faulty_urls"
