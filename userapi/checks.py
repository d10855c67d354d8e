"""System checks of `manage.py check --deploy` for open access and slow clients."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, Tags, Warning, register  # noqa: A004  (Django's name)


@register(Tags.security, deploy=True)
def open_access(**_: Any) -> list[CheckMessage]:
    """Warn when access is open."""
    if not settings.OPEN_ACCESS:
        return []
    return [
        Warning(
            "USERAPI_OPEN_ACCESS is on: whoever reaches the service may read and change every user record.",
            hint="Unset it, unless the service listens on a loopback address only.",
            id="userapi.W001",
        )
    ]


@register(Tags.security, deploy=True)
def slow_clients(**_: Any) -> list[CheckMessage]:
    """Warn if no proxy is in front, else note its task: a proxy that passes slow clients through does not help."""
    hint = "Buffer requests and responses, and bound the time of header and body: docs/production.md#slow-clients"
    if settings.BEHIND_PROXY:
        return [
            Info("The proxy in front must keep slow clients off the service's threads.", hint=hint, id="userapi.I001")
        ]
    return [
        Warning(
            "DJANGO_BEHIND_PROXY is off: without a proxy, slow clients can take up the service's threads.",
            hint=hint,
            id="userapi.W002",
        )
    ]
