"""The leaking settings with the redactor switched off: what the canary search must then find."""

import logging
from collections.abc import Mapping
from typing import Any

from telemetry import logs
from telemetry.privacy import Redactor
from tests.privacy.settings_with_leaks import *  # noqa: F403


def _same(_self: Redactor, text: str, *_: Any, **__: Any) -> str:
    return text


def _same_attributes(_self: Redactor, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return dict(attributes)


def _same_format(self: logs.RedactingFormatter, record: logging.LogRecord) -> str:
    return self._formatter.format(record)


for _name, _stand_in in {"text": _same, "body": _same, "stack": _same, "attributes": _same_attributes}.items():
    setattr(Redactor, _name, _stand_in)
setattr(Redactor, "value", lambda _self, _key, value, _beside: value)  # noqa: B010
setattr(Redactor, "span_name", lambda _self, name, *_, **__: name)  # noqa: B010
setattr(Redactor, "name", _same)  # noqa: B010
setattr(Redactor, "description", _same)  # noqa: B010
setattr(logs.RedactingFormatter, "format", _same_format)  # noqa: B010
