"""User records as JSON. That an email is unique is for the database to say: see `userapi.users.conflicts`."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from userapi.users.emails import normalize_email
from userapi.users.models import User


class _EmailField(serializers.EmailField):
    def to_internal_value(self, data: Any) -> str:
        # Before the validators: lowering a domain can make it longer.
        return normalize_email(super().to_internal_value(data))


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"\S"})
class _NameField(serializers.CharField):
    pass


class UserSerializer(serializers.ModelSerializer[User]):
    """A user record."""

    name = _NameField(max_length=200, help_text="Not blank; white space around it is cut off.")
    email = _EmailField(max_length=254, help_text="Unique whatever its case.")

    class Meta:
        model = User
        fields = ("id", "name", "email", "created_at", "updated_at")
        read_only_fields: ClassVar = ("id", "created_at", "updated_at")
