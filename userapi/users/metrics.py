"""Counts created, changed and deleted user records, once committed.

Uses signals, so that the admin's changes count like the API's; `bulk_create` and `update` send none.
An id or an email must never become an attribute.
"""

from typing import Any

from django.db import transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save
from opentelemetry import metrics

_meter = metrics.get_meter("userapi.users")

CREATED = _meter.create_counter("users.created", unit="{user}", description="User records created.")
UPDATED = _meter.create_counter("users.updated", unit="{user}", description="User records changed.")
DELETED = _meter.create_counter("users.deleted", unit="{user}", description="User records deleted.")


def count_save(*, created: bool, raw: bool, using: str, **_: Any) -> None:
    """Count a created or a changed record; a fixture (`raw`) is neither."""
    if not raw:
        _count_on_commit(CREATED if created else UPDATED, using)


def count_delete(*, using: str, **_: Any) -> None:
    """Count a deleted record."""
    _count_on_commit(DELETED, using)


def connect(model: type[Model]) -> None:
    """Connect to the signals of the records' model; idempotent."""
    post_save.connect(count_save, sender=model, dispatch_uid="users.metrics.save")
    post_delete.connect(count_delete, sender=model, dispatch_uid="users.metrics.delete")


def _count_on_commit(counter: metrics.Counter, using: str) -> None:
    transaction.on_commit(lambda: counter.add(1), using=using)
