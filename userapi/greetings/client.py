"""The client of the greeter, a service called over HTTP.

Nothing here handles traces: TELEMETRY_INSTRUMENT=requests creates the span of each call and propagates its context.
"""

from django.conf import settings
from requests import RequestException, Session

_TIMEOUT = 2.0


class GreeterError(Exception):
    """The greeter returned no greeting."""


def greeting() -> str:
    """Return the current greeting; sends no data on the user. Raises GreeterError."""
    try:
        with Session() as session:
            session.trust_env = False  # no proxy and no .netrc between two services
            answer = session.get(f"{settings.GREETER_URL}/greeting", timeout=_TIMEOUT)
            answer.raise_for_status()
            return str(answer.json()["greeting"])
    except (RequestException, KeyError, TypeError) as error:
        raise GreeterError(f"the greeter gave no greeting: {type(error).__name__}") from error
