"""User records as JSON. The database ensures that an email is unique: see `userapi.users.conflicts`."""

from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from userapi.users.emails import normalize_email, validate_domain, validate_local_part
from userapi.users.models import User
from userapi.views import refuse_unknown


class _TextField(serializers.CharField):
    """Text alone: REST framework's own field also takes numbers."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class _EmailField(serializers.EmailField, _TextField):
    def to_internal_value(self, data: Any) -> str:
        # Before the validators: it can make a domain longer.
        return normalize_email(super().to_internal_value(data))


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"\S"})
class _NameField(_TextField):
    pass


class UserSerializer(serializers.ModelSerializer[User]):
    """A user record."""

    name = _NameField(max_length=200, help_text="Not blank; white space around it is removed.")
    email = _EmailField(
        max_length=254,
        validators=[validate_local_part, validate_domain],
        help_text="Unique whatever its case; ASCII before the @.",
    )

    class Meta:
        model = User
        fields = ("id", "name", "email", "created_at", "updated_at")
        read_only_fields: ClassVar = ("id", "created_at", "updated_at")

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            refuse_unknown(data, self.fields, "member")
        return super().to_internal_value(data)

    def update(self, instance: User, validated_data: Any) -> User:
        """Save the changes; an unchanged record keeps its version and its `updated_at`."""
        changes = {name: value for name, value in validated_data.items() if getattr(instance, name) != value}
        return super().update(instance, changes) if changes else instance
