"""How JSON is written: in one form, so that one entity tag fits all answers."""

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import JSONRenderer as RestJSONRenderer


class JSONRenderer(RestJSONRenderer):
    """Indents for the browsable API alone, not because a client accepts `application/json; indent=4`."""

    def get_indent(self, accepted_media_type: str | None, renderer_context: Mapping[str, Any]) -> int | None:
        del accepted_media_type
        indent: int | None = renderer_context.get("indent")
        return indent
