"""The index of `UserQuerySet.search`, for PostgreSQL.

It uses only PostgreSQL's core functions: pg_trgm is not installed everywhere, and creating it may need a superuser.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

# A migration keeps its own copy, as its effect must not change with the code.
VECTOR = (
    "array_to_tsvector(array_remove(regexp_split_to_array(lower(name || ' ' || email), "
    r"'[\x01-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+'), ''))"
)


def create_index(_apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        # Without fastupdate, no search pays for pending entries of earlier writes.
        schema_editor.execute(
            f"CREATE INDEX users_user_search ON users_user USING gin (({VECTOR})) WITH (fastupdate = off)"
        )


def drop_index(_apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX users_user_search")


class Migration(migrations.Migration):
    dependencies = [("users", "0001_initial")]
    operations = [migrations.RunPython(create_index, drop_index)]
