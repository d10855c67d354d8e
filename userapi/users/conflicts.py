"""Two records with one email address: the database refuses the second, and the client gets a 409."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError

from userapi.problems import Conflict
from userapi.users.models import UNIQUE_EMAIL

MESSAGE = "A user with this email exists."


@contextmanager
def email_conflict() -> Iterator[None]:
    """Turn the violation of the email's constraint into Conflict; any other error passes.

    A query beforehand would only duplicate the constraint, and be subject to a race.
    Use it around the transaction, so that the transaction is rolled back first.
    """
    try:
        yield
    except IntegrityError as error:
        if _constraint_of(error) != UNIQUE_EMAIL:
            raise
        # Without the cause: PostgreSQL's message quotes the address.
        raise Conflict(MESSAGE, errors={"email": [MESSAGE]}) from None


def _constraint_of(error: IntegrityError) -> str | None:
    diagnostics = getattr(error.__cause__, "diag", None)
    if diagnostics is not None:
        return str(diagnostics.constraint_name)
    # SQLite names the index of an expression: "UNIQUE constraint failed: index 'users_user_email_caseless'".
    return UNIQUE_EMAIL if f"'{UNIQUE_EMAIL}'" in str(error) else None
