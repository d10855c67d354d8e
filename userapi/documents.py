"""`/schema` and `/docs`; their implementation is imported at the first request for one of them."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def schema(request: HttpRequest) -> HttpResponseBase:
    """Answer with the OpenAPI document."""
    from userapi.openapi import SchemaView

    return SchemaView.as_view()(request)


@csrf_exempt
def docs(request: HttpRequest) -> HttpResponseBase:
    """Answer with a page that shows the document."""
    from userapi.openapi import DocsView

    return DocsView.as_view()(request)
