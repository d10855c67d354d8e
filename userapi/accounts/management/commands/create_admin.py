"""`manage.py create_admin`: creates the first admin account once, for an unattended start."""

import os
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

# The variables of Django's own `createsuperuser --noinput`, which fails if the account already exists.
_NAME = "DJANGO_SUPERUSER_USERNAME"
_PASSWORD = "DJANGO_SUPERUSER_PASSWORD"  # noqa: S105  (a variable's name)


class Command(BaseCommand):
    """Creates a superuser from DJANGO_SUPERUSER_USERNAME (`admin`) and DJANGO_SUPERUSER_PASSWORD, unless it exists.

    An existing account keeps its password; without a password in the environment, no account is created.
    """

    help = f"Make the account that {_NAME} and {_PASSWORD} name, unless it exists."

    def handle(self, *_args: Any, **_options: Any) -> None:
        name = os.environ.get(_NAME, "").strip() or "admin"
        password = os.environ.get(_PASSWORD, "").strip()
        accounts = get_user_model().objects
        if accounts.filter(username=name).exists():
            self.stdout.write(f"The account {name} exists already: nothing was changed.")
        elif not password:
            self.stdout.write(f"No account was made: {_PASSWORD} is empty.")
        else:
            accounts.create_superuser(username=name, password=password)
            self.stdout.write(f"The account {name} was made, with the password in {_PASSWORD}.")
