"""`manage.py create_admin`: creates the first admin account once, for an unattended start."""

import os
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import IntegrityError, transaction

# The variables of Django's own `createsuperuser --noinput`, which fails if the account already exists.
_NAME = "DJANGO_SUPERUSER_USERNAME"
_PASSWORD = "DJANGO_SUPERUSER_PASSWORD"  # noqa: S105  (a variable's name)


class Command(BaseCommand):
    """Creates a superuser from DJANGO_SUPERUSER_USERNAME (`admin`) and DJANGO_SUPERUSER_PASSWORD, unless it exists.

    An existing account keeps its password; without a password in the environment, no account is created.
    """

    help = f"Make the account that {_NAME} and {_PASSWORD} name, unless it exists."

    def handle(self, *_args: Any, **_options: Any) -> None:
        model = get_user_model()
        name = model.normalize_username(os.environ.get(_NAME, "").strip() or "admin")
        password = os.environ.get(_PASSWORD, "").strip()
        exists = model.objects.filter(username=name).exists()
        if not exists and not password:
            self.stdout.write(f"No account was made: {_PASSWORD} is empty.")
            return
        if not exists:
            try:
                with transaction.atomic():
                    model.objects.create_superuser(username=name, password=password)
            except IntegrityError:  # another process was quicker
                exists = True
        done = "exists already: nothing was changed" if exists else f"was made, with the password in {_PASSWORD}"
        self.stdout.write(f"The account {name} {done}.")
