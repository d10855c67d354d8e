"""The user record."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower

from userapi.users.emails import EmailAddressField
from userapi.users.queries import UserQuerySet

UNIQUE_EMAIL = "users_user_email_caseless"


class User(models.Model):
    """A person known to the service. Nobody logs in with it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    email = EmailAddressField(max_length=254)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = UserQuerySet.as_manager()

    class Meta:
        verbose_name = "user record"
        constraints: ClassVar = [
            models.UniqueConstraint(
                Lower("email"), name=UNIQUE_EMAIL, violation_error_message="A user with this email exists."
            ),
        ]
        # One for each ordering of the list, in the order of its keys; search has its own in migration 0002.
        indexes: ClassVar = [
            models.Index(fields=["created_at", "id"], name="users_user_created_at_id"),
            models.Index(Lower("name"), "id", name="users_user_name_id"),
        ]

    def __str__(self) -> str:
        return self.name
