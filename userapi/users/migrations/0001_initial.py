import uuid

from django.db import migrations, models
from django.db.models.functions import Lower

import userapi.users.emails


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=200)),
                ("email", userapi.users.emails.EmailAddressField(max_length=254)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "verbose_name": "user record",
                "indexes": [
                    models.Index(fields=["created_at", "id"], name="users_user_created_at_id"),
                    models.Index(Lower("name"), models.F("id"), name="users_user_name_id"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        Lower("email"),
                        name="users_user_email_caseless",
                        violation_error_message="A user with this email exists.",
                    )
                ],
            },
        ),
    ]
