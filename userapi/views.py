"""The base of the API's views, which refuse unknown parameters and members."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

_MOST_NAMES = 20
_LONGEST_NAME = 100


class StrictView(APIView):
    """A view that answers 400 to unknown query parameters and body members, since ignoring them hides mistakes.

    An unsupported method gets a 405, with or without credentials.
    """

    query_parameters: ClassVar[Collection[str]] = ()
    """Accepted query parameters, in addition to those of the filters and the paginator."""
    methods_with_body: ClassVar[Collection[str]] = ("POST", "PUT", "PATCH")
    """Methods whose serializers check the members; other methods accept none."""
    cache_control: ClassVar[str] = "no-store"
    """For personal data and tokens, which no cache may store."""

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        initialized = super().initialize_request(request, *args, **kwargs)
        if request.method not in self.methods_with_body:
            # Forms, too: errors must name their members, and many clients send an empty form.
            initialized.parsers = [*self.get_parsers(), FormParser(), MultiPartParser()]
        return initialized

    def perform_authentication(self, request: Request) -> None:
        if request.method not in self.allowed_methods:
            # The browsable API shows the account on every page; a password need not be checked for that.
            request.user = AnonymousUser()
            self.http_method_not_allowed(request)
        super().perform_authentication(request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.query_params:
            self._check_query(request)
        if request.method not in self.methods_with_body:
            if not isinstance(request.data, Mapping):
                raise ValidationError("Accepted: no body.")
            refuse_unknown(request.data, (), "member")

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", self.cache_control)
        return response

    def _check_query(self, request: Request) -> None:
        parts = [backend() for backend in getattr(self, "filter_backends", ())]
        parts.append(getattr(self, "paginator", None))
        documented = [part.get_schema_operation_parameters(self) for part in parts if part is not None]
        known = {parameter["name"] for parameters in documented for parameter in parameters}
        refuse_unknown(request.query_params, known.union(self.query_parameters), "query parameter")
        repeated = [name for name, values in request.query_params.lists() if len(values) > 1]
        if repeated:
            raise ValidationError({name: ["Given more than once."] for name in repeated})


def refuse_unknown(given: Collection[str], known: Collection[str], kind: str) -> None:
    """Raise ValidationError with the names in `given` that are not in `known`; `kind` describes them."""
    unknown = [name for name in given if name not in known][:_MOST_NAMES]
    if unknown:
        raise ValidationError({_printable(name): [f"Unknown {kind}."] for name in unknown})


def _printable(name: str) -> str:
    # JSON can contain a lone surrogate, which UTF-8 cannot.
    return name[:_LONGEST_NAME].encode(errors="replace").decode()
