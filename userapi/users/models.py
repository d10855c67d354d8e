"""The user record."""

import uuid
from collections.abc import Iterable
from typing import Any, ClassVar

from django.db import models
from django.db.models.functions import Lower

from userapi.users.emails import EmailAddressField
from userapi.users.queries import UserQuerySet

UNIQUE_EMAIL = "users_user_email_caseless"


class User(models.Model):
    """A person known to the service, not an account to log in with.

    `version` is random and new after every change, so that two concurrent writers cannot create the same one.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    email = EmailAddressField(max_length=254)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    # The database's default is for the release before this column, while both run during a deployment.
    version = models.UUIDField(default=uuid.uuid4, db_default=uuid.UUID(int=0), editable=False)

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

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        self.version = uuid.uuid4()
        if update_fields is not None:
            update_fields = {*update_fields, "version"}
        super().save(*args, update_fields=update_fields, **kwargs)
