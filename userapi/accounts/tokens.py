"""The end of an account's tokens: Django ends its sessions itself."""

from collections.abc import Collection
from typing import Any

from django.contrib.auth.models import User
from django.db.models.signals import pre_save
from knox.models import AuthToken


def end_tokens(instance: User, *, raw: bool, update_fields: Collection[str] | None, **_: Any) -> None:
    """Delete the tokens of an account whose password is about to change; a fixture (`raw`) keeps them.

    A hash that is assigned by hand and saved by `update_fields` keeps them, too: it looks like a log-in's.
    """
    # A log-in saves its time, or a new hash of the same password; Django tells these apart in the same way.
    log_in = (
        update_fields is not None and getattr(instance, "_password", None) is None and instance.has_usable_password()
    )
    if not raw and not log_in:
        AuthToken.objects.filter(user_id=instance.pk).exclude(user__password=instance.password).delete()


def connect() -> None:
    """Connect to the signal; idempotent."""
    pre_save.connect(end_tokens, sender=User, dispatch_uid="accounts.tokens")
