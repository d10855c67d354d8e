"""Django's settings, read once from the environment. docs/configuration.md lists all variables."""

import os
import re
import sys
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from csp import constants as csp

from telemetry.log_config import logging_config
from userapi import __version__
from userapi.databases import database, threads
from userapi.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(os.environ)

# --- Security -------------------------------------------------------------------------------------------------------

DEBUG = env.boolean("DJANGO_DEBUG", default=False)

_DEBUG_SECRET_KEY = "django-insecure-only-for-debug-mode-and-refused-outside-of-it"  # noqa: S105  (refused below)
_SECRET_KEY_MINIMUM = 50
_EXAMPLE_SECRETS = ("django-insecure", "changeme", "change-me", "change_me", "secret-key", "example", "your-")

SECRET_KEY = env.text("DJANGO_SECRET_KEY", _DEBUG_SECRET_KEY if DEBUG else "")
if not DEBUG and (
    len(SECRET_KEY) < _SECRET_KEY_MINIMUM
    or len(set(SECRET_KEY)) < 5  # noqa: PLR2004  (Django's own check security.W009 asks for five)
    or SECRET_KEY.lower().startswith(_EXAMPLE_SECRETS)
):
    raise env.error(
        "DJANGO_SECRET_KEY",
        None if SECRET_KEY else "",
        f"a random text of {_SECRET_KEY_MINIMUM} characters or more that is no known example "
        "(python -c 'import secrets; print(secrets.token_urlsafe(50))'), or DJANGO_DEBUG=true",
    )

ALLOWED_HOSTS = env.names("DJANGO_ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.names("DJANGO_CSRF_TRUSTED_ORIGINS")
for _origin in CSRF_TRUSTED_ORIGINS:
    if not _origin.startswith(("http://", "https://")):
        raise env.error("DJANGO_CSRF_TRUSTED_ORIGINS", _origin, "comma-separated origins such as https://example.com")

OPEN_ACCESS = env.boolean("USERAPI_OPEN_ACCESS", default=False)
BEHIND_PROXY = env.boolean("DJANGO_BEHIND_PROXY", default=False)
FORCE_SCRIPT_NAME = env.text("SCRIPT_NAME") or None  # gunicorn's variable
if FORCE_SCRIPT_NAME and not re.fullmatch(r"(/[\w.~-]+)+", FORCE_SCRIPT_NAME, re.ASCII):
    raise env.error("SCRIPT_NAME", FORCE_SCRIPT_NAME, "a path such as /api, without a slash at its end")

HTTPS = env.boolean("DJANGO_HTTPS", default=not DEBUG)
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = env.integer("DJANGO_HSTS_SECONDS", 31_536_000 if HTTPS else 0, minimum=0, maximum=63_072_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.boolean("DJANGO_HSTS_SUBDOMAINS", default=HTTPS)
# Preloading binds a whole domain for months, so it is never a default, and `check` must not ask for it.
SECURE_HSTS_PRELOAD = env.boolean("DJANGO_HSTS_PRELOAD", default=False)
SILENCED_SYSTEM_CHECKS = ["security.W021"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Another application's cookie with the path / comes after ours, and would replace it if it had the same name.
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "userapi_sessionid", "userapi_csrftoken"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = FORCE_SCRIPT_NAME or "/"
# The default storage's cookie would ignore the path prefix.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# The pages of the admin, the browsable API and Swagger UI contain inline styles, but no inline scripts.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [csp.NONE],
        "script-src": [csp.SELF],
        "style-src": [csp.SELF, csp.UNSAFE_INLINE],
        "img-src": [csp.SELF, "data:"],
        "font-src": [csp.SELF],
        "connect-src": [csp.SELF],
        "form-action": [csp.SELF],
        "base-uri": [csp.NONE],
        "frame-ancestors": [csp.NONE],
    }
}

DATA_UPLOAD_MAX_MEMORY_SIZE = env.integer("USERAPI_MAX_BODY_BYTES", 64 * 1024, minimum=1024, maximum=16 * 1024 * 1024)
FILE_UPLOAD_MAX_MEMORY_SIZE = DATA_UPLOAD_MAX_MEMORY_SIZE
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 0

# --- Application ----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "userapi",  # first, as its templates replace those of others
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "axes",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "telemetry",
    # An image may omit the tools.
    *(["telemetry.tools"] if find_spec("telemetry.tools") else []),
    "userapi.accounts",
    "userapi.greetings",
    "userapi.users",
]

MIDDLEWARE = [
    "userapi.middleware.HeadMiddleware",
    "userapi.middleware.ContentSecurityPolicyMiddleware",
    "userapi.middleware.ProbeMiddleware",
    "telemetry.middleware.requests",
    "telemetry.middleware.access_log",
    "userapi.middleware.HostMiddleware",
    "userapi.middleware.RequestGuardMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "userapi.middleware.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "userapi.accounts.middleware.ThrottledMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "userapi.urls"
WSGI_APPLICATION = "userapi.wsgi.application"
CSRF_FAILURE_VIEW = "userapi.problems.csrf_failure"
APPEND_SLASH = False  # the API's paths have no trailing slash; /admin has its own redirect

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": database(env, BASE_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "userapi.accounts.backends.PasswordBackend"]
LOGIN_THREADS = max(1, threads(env) // 2)

# Failed logins are counted by address, in the database, for all workers and for the admin and /auth/token together.
# A success resets nothing, as the owner of an account could then guess forever. A lock ends even if attempts go on.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_USERNAME_CALLABLE = "userapi.accounts.attempts.attempted_name"
AXES_CLIENT_IP_CALLABLE = "userapi.accounts.attempts.client_address"
AXES_LOCKOUT_CALLABLE = "userapi.accounts.middleware.locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "csrfmiddlewaretoken"]

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

CONSOLE_URL = env.text("USERAPI_CONSOLE_URL", "http://localhost:3000")
if not CONSOLE_URL.startswith(("http://", "https://")):
    raise env.error("USERAPI_CONSOLE_URL", CONSOLE_URL, "a URL that starts with http:// or https://")

# Enables greetings if set.
GREETER_URL = env.text("USERAPI_GREETER_URL").rstrip("/")
if GREETER_URL and not GREETER_URL.startswith(("http://", "https://")):
    raise env.error("USERAPI_GREETER_URL", GREETER_URL, "a URL that starts with http:// or https://")

# --- Static files ---------------------------------------------------------------------------------------------------

STATIC_URL = f"{FORCE_SCRIPT_NAME or ''}/static/"
STATIC_ROOT = Path(env.text("DJANGO_STATIC_ROOT", str(BASE_DIR / "staticfiles")))

# Without `manage.py collectstatic`, the packages' files are served unchanged; after it, the compressed ones with hashed
# names.
_COLLECTING = sys.argv[1:2] == ["collectstatic"]
_COLLECTED = not DEBUG and (STATIC_ROOT / "staticfiles.json").is_file()
WHITENOISE_USE_FINDERS = not _COLLECTED
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if _COLLECTING or _COLLECTED
        else "django.contrib.staticfiles.storage.StaticFilesStorage",
    },
}

# --- API ------------------------------------------------------------------------------------------------------------

_PERMISSION = "AllowAny" if OPEN_ACCESS else "IsAuthenticated"

REST_FRAMEWORK: dict[str, Any] = {
    # The first one names the scheme in WWW-Authenticate.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "userapi.accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [f"rest_framework.permissions.{_PERMISSION}"],
    "DEFAULT_RENDERER_CLASSES": [
        "userapi.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "userapi.negotiation.ContentNegotiation",
    # No forms: a page of another origin can post a form without a CORS preflight, but not JSON.
    "DEFAULT_PARSER_CLASSES": ["userapi.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "userapi.schema.ProblemAutoSchema",
    "EXCEPTION_HANDLER": "userapi.problems.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "URL_FORMAT_OVERRIDE": None,
}

REST_KNOX = {
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_TTL": timedelta(hours=10),
}

SPECTACULAR_SETTINGS = {
    "TITLE": "User API",
    "DESCRIPTION": "User records: create, list, search, read, change and delete. "
    "Errors are RFC 9457 problem documents. "
    "Unknown query parameters and unknown members of a body are errors; read-only members are ignored.",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "DEFAULT_GENERATOR_CLASS": "userapi.generator.SchemaGenerator",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "userapi.schema.close_request_bodies",
    ],
    "SERVERS": [{"url": FORCE_SCRIPT_NAME}] if FORCE_SCRIPT_NAME else [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Logging --------------------------------------------------------------------------------------------------------

LOGGING = logging_config(readable=DEBUG)
LOGGING["loggers"]["axes"] = {"level": "WARNING"}

# --- Telemetry ------------------------------------------------------------------------------------------------------

TELEMETRY = {
    "SERVICE_NAME": "user-api",
    "SERVICE_VERSION": __version__,
    "METRIC_ATTRIBUTES": {"users.created": (), "users.updated": (), "users.deleted": ()},
    "ACCESS_LOGGER": "userapi.access",
    "METRICS_PATH": None,  # ProbeMiddleware answers it
}
