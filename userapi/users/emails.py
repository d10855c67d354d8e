"""The equality of email addresses."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models

if TYPE_CHECKING:
    _EmailField = models.EmailField[str, str]
else:  # Django's own class takes no parameters
    _EmailField = models.EmailField


def validate_local_part(email: str) -> None:
    """Raise ValidationError unless the local part is ASCII.

    Django's pattern ignores case and so accepts U+017F for an s and U+212A for a k: such addresses look like others,
    and databases convert them to lower case differently.
    """
    if not email.rpartition("@")[0].isascii():
        raise ValidationError("The part before the @ must be ASCII.", code="invalid")


def normalize_email(email: str) -> str:
    """Return the address with its domain in lower case; the local part keeps its case.

    A database's LOWER() may handle ASCII only (SQLite, PostgreSQL's C collation). A valid local part is ASCII, but a
    domain need not be, so the domain is converted here and the constraint does the rest.
    """
    local, at, domain = email.rpartition("@")
    return f"{local}{at}{domain.lower()}"


class EmailAddressField(_EmailField):
    """A column of addresses, which are always normalized by `normalize_email`."""

    default_validators = [validate_email, validate_local_part]  # noqa: RUF012  (Django's attribute)

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return normalize_email(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        return self.to_python(super().get_prep_value(value))
