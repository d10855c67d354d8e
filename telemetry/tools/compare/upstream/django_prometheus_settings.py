"""Django's settings: the project's own with django-prometheus, as its README adds it by settings alone."""

import os

from telemetry.tools.compare.upstream import project

globals().update(_found := project.settings())

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    *_found["MIDDLEWARE"],
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
INSTALLED_APPS = [*_found["INSTALLED_APPS"], "django_prometheus"]
os.environ["COMPARE_ROOT_URLCONF"] = _found["ROOT_URLCONF"]
ROOT_URLCONF = "telemetry.tools.compare.upstream.django_prometheus_urls"
