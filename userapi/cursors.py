"""Cursors: opaque texts that contain a position in an ordering."""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, Self, cast

from django.conf import settings
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import ValidationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

MAX_CURSOR_LENGTH = 2048
"""Characters. The longest name or email takes about 1,500."""

Direction = Literal["next", "previous"]

# No stored text contains it: the serializers, the admin and PostgreSQL refuse it.
_SEPARATOR = "\0"
_NOT_OURS = "Not a cursor of this service: follow a link of a page."


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in an ordering: the keys of a row, and the direction of reading.

    Encrypted, because the keys are names and email addresses and every proxy logs URLs; authenticated, so that clients
    can neither invent keys nor use the cursor of another ordering. Equal positions have equal texts.
    """

    ordering: str
    direction: Direction
    inclusive: bool
    keys: tuple[str, ...]

    def encode(self) -> str:
        """Return the text for the link."""
        parts = (self.ordering, self.direction, "inclusive" if self.inclusive else "", *self.keys)
        sealed = next(_ciphers()).encrypt(_SEPARATOR.join(parts).encode(), None)
        return urlsafe_b64encode(sealed).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, ordering: str, keys: int) -> Self:
        """Return the cursor in `text`.

        Raises ValidationError unless this service created it for `ordering`, whose rows have `keys` keys.
        """
        parts = _unsealed(text)
        if parts is None:
            raise ValidationError({"cursor": [_NOT_OURS]})
        made_for, direction, inclusive, *found = parts
        if made_for != ordering:
            raise ValidationError({"cursor": [f"Made for the ordering {made_for!r}, not for {ordering!r}."]})
        if len(found) != keys:
            raise ValidationError({"cursor": [_NOT_OURS]})
        return cls(made_for, cast("Direction", direction), bool(inclusive), tuple(found))


def _unsealed(text: str) -> list[str] | None:
    """Return the parts of a cursor, or None if no key of the service decrypts it."""
    if len(text) > MAX_CURSOR_LENGTH:
        return None
    try:
        sealed = b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
    except ValueError:
        return None
    from cryptography.exceptions import InvalidTag

    for cipher in _ciphers():
        try:
            return cipher.decrypt(sealed, None).decode().split(_SEPARATOR)
        except InvalidTag:
            continue
    return None


def _ciphers() -> Iterator["AESSIV"]:
    """Yield the cipher of SECRET_KEY, then those of former keys."""
    yield from map(_cipher, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@cache
def _cipher(secret: str) -> "AESSIV":
    # Imported late: it loads a shared library, and most processes create no cursor.
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(salted_hmac("userapi.cursors", "key", secret, algorithm="sha512").digest())
