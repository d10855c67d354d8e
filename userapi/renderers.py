"""The JSON renderer: one form only, so that one entity tag fits all responses."""

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import JSONRenderer as RestJSONRenderer


class JSONRenderer(RestJSONRenderer):
    """Indents only for the browsable API, not for clients that accept `application/json; indent=4`."""

    def get_indent(self, accepted_media_type: str | None, renderer_context: Mapping[str, Any]) -> int | None:
        del accepted_media_type
        indent: int | None = renderer_context.get("indent")
        return indent
