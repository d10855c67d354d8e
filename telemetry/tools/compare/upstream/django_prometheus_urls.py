"""The project's addresses and /prometheus/metrics, as django-prometheus' README wraps them."""

import os
from importlib import import_module

from django.urls import include, path

_project = import_module(os.environ["COMPARE_ROOT_URLCONF"])
globals().update({name: value for name, value in vars(_project).items() if name.startswith("handler")})

urlpatterns = [
    path("prometheus/", include("django_prometheus.urls")),
    path("", include(_project.__name__)),
]
