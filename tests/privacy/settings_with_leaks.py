"""The service's settings with views that leak all they can."""

from userapi.settings import *  # noqa: F403
from userapi.settings import MIDDLEWARE as _MIDDLEWARE

ROOT_URLCONF = "tests.privacy.leaking_urls"
# The leaking views take forms of anybody.
MIDDLEWARE = [*_MIDDLEWARE, "tests.privacy.middleware.NoCsrfForLeaks"]
# A dozen log-ins cost seconds otherwise, and no test looks for a hash.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
