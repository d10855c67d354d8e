import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("users", "0002_search_index")]
    operations = [
        migrations.AddField(
            model_name="user",
            name="version",
            field=models.UUIDField(default=uuid.uuid4, db_default=uuid.UUID(int=0), editable=False),
        ),
    ]
