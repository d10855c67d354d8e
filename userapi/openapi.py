"""The OpenAPI document, and a page that shows it."""

from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from userapi.views import StrictView


class SchemaView(StrictView, SpectacularJSONAPIView):
    """The OpenAPI document."""

    cache_control = "no-cache"


class DocsView(StrictView, SpectacularSwaggerSplitView):
    """Swagger UI; `?script=` is its script."""

    url_name = "schema"
    http_method_names = ["get", "head"]  # noqa: RUF012  (Django's attribute)
    query_parameters = ("script",)
    cache_control = "no-cache"
