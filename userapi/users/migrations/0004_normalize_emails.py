"""Stored addresses take the form in which the service now stores new ones and looks them up."""

import logging
import uuid

from django.db import DataError, IntegrityError, migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models import Value

from userapi.users.emails import normalize_email

logger = logging.getLogger(__name__)


def normalize(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    users = apps.get_model("users", "User").objects.using(alias)
    for key, email in users.values_list("id", "email").iterator():
        if email == normalize_email(email):
            continue
        try:
            with transaction.atomic(using=alias):
                # Value, as the field would normalize the address to look for, too.
                users.filter(id=key, email=Value(email)).update(email=email, version=uuid.uuid4())
        except (IntegrityError, DataError):
            logger.warning("record %s keeps its email address: another one has its normal form, or it is too long", key)


class Migration(migrations.Migration):
    dependencies = [("users", "0003_version")]
    operations = [migrations.RunPython(normalize, migrations.RunPython.noop)]
