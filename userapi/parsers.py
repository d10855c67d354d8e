"""The parser of request bodies: JSON in UTF-8, without input that makes the standard parser answer 500."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser as RestJSONParser
from rest_framework.utils import json as strict_json

_LONGEST_NAME = 100


class JSONParser(RestJSONParser):
    """Reads UTF-8 only, as RFC 8259 requires, and refuses nesting that exhausts the interpreter's stack.

    Raises ParseError (400). RequestGuardMiddleware has limited the size before.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        del media_type, parser_context
        try:
            return json.loads(
                stream.read().decode("utf-8"), parse_constant=strict_json.strict_constant, object_pairs_hook=_object
            )
        except json.JSONDecodeError as error:
            raise ParseError(f"The body is not valid JSON: {error}.") from error
        except UnicodeDecodeError as error:
            raise ParseError("The body is not valid UTF-8.") from error
        except ValueError as error:
            raise ParseError("The body holds a number that JSON does not know or that is too long.") from error
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; refuse duplicate members, as either may be the intended one."""
    found = dict(members)
    if len(found) < len(members):
        (name, _), *_rest = Counter(name for name, _ in members).most_common(1)
        raise ParseError(f"The body has the member {json.dumps(name[:_LONGEST_NAME])} more than once.")
    return found
