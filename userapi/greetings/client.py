"""The greeter, a service that is called over HTTP.

Nothing here is about traces: TELEMETRY_INSTRUMENT=requests makes the span of each call and sends its context along.
"""

from django.conf import settings
from requests import RequestException, Session

_TIMEOUT = 2.0


class GreeterError(Exception):
    """The greeter gave no greeting."""


def greeting() -> str:
    """Return what to say now; nothing about the user is sent. Raises GreeterError."""
    try:
        with Session() as session:
            session.trust_env = False  # no proxy and no .netrc stand between two services
            answer = session.get(f"{settings.GREETER_URL}/greeting", timeout=_TIMEOUT)
            answer.raise_for_status()
            return str(answer.json()["greeting"])
    except (RequestException, KeyError, TypeError) as error:
        raise GreeterError(f"the greeter gave no greeting: {type(error).__name__}") from error
