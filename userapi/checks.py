"""What `manage.py check --deploy` says about access."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004  (Django's name)


@register(Tags.security, deploy=True)
def open_access(**_: Any) -> list[CheckMessage]:
    """Warn when anybody may read and write."""
    if not settings.OPEN_ACCESS:
        return []
    return [
        Warning(
            "USERAPI_OPEN_ACCESS is on: whoever reaches the service may read and change every user record.",
            hint="Unset it, unless the service listens on a loopback address only.",
            id="userapi.W001",
        )
    ]
