"""The equality of email addresses."""

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models

if TYPE_CHECKING:
    _EmailField = models.EmailField[str, str]
else:  # Django's own class takes no parameters
    _EmailField = models.EmailField


# Letters and marks among Unicode's Default_Ignorable_Code_Points; the others are not printable.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def validate_local_part(email: str) -> None:
    """Raise ValidationError unless the local part is ASCII.

    Django's pattern ignores case and so accepts U+017F for an s and U+212A for a k: such addresses look like others,
    and databases convert them to lower case differently.
    """
    if not email.rpartition("@")[0].isascii():
        raise ValidationError("The part before the @ must be ASCII.", code="invalid")


def validate_domain(email: str) -> None:
    """Raise ValidationError if the domain has invisible characters, which would make it look like another."""
    domain = email.rpartition("@")[2]
    if not domain.isprintable() or _INVISIBLE.search(domain):
        raise ValidationError("The domain has an invisible character.", code="invalid")


def normalize_email(email: str) -> str:
    """Return the address with its domain in Unicode's form NFKC and in lower case; the local part stays as it is.

    A database's LOWER() may handle ASCII only (SQLite, PostgreSQL's C collation). A valid local part is ASCII, but a
    domain need not be, so the domain is converted here and the constraint does the rest.
    """
    local, at, domain = email.rpartition("@")
    if not at:  # NFKC would make one from U+FF20 or U+FE6B
        return email
    return f"{local}{at}{unicodedata.normalize('NFKC', domain).lower()}"


class EmailAddressField(_EmailField):
    """A column of addresses, which are always normalized by `normalize_email`."""

    default_validators = [validate_email, validate_local_part, validate_domain]  # noqa: RUF012  (Django's attribute)

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return normalize_email(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        return self.to_python(super().get_prep_value(value))
