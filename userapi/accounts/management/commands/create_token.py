"""`manage.py create_token USERNAME`: creates a token for scripts, without sending a password."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from knox.models import AuthToken

_MOST_HOURS = 10 * 365 * 24


class Command(BaseCommand):
    """Prints a new token of an account, which is not shown again: only its digest is stored."""

    help = "Print a new API token of an account; it is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--hours", type=int, default=10, help="hours until it expires; 0: never (default: 10)")

    def handle(self, *_args: Any, username: str, hours: int, **_options: Any) -> None:
        if not 0 <= hours <= _MOST_HOURS:
            raise CommandError(f"--hours has the value {hours}; expected 0 to {_MOST_HOURS} (ten years).")
        model = get_user_model()
        try:
            account = model.objects.get_by_natural_key(model.normalize_username(username))
        except model.DoesNotExist as error:
            raise CommandError(f"No account has the name {username!r}.") from error
        if not account.is_active:
            raise CommandError(f"The account {username!r} is inactive.")
        _, token = AuthToken.objects.create(account, expiry=timedelta(hours=hours) if hours else None)
        self.stdout.write(token)
