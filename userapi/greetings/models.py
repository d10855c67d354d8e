from typing import ClassVar

from django.db import models


class Task(models.Model):
    """A greeting that waits to be delivered. `trace_context` contains the propagation headers of its trace."""

    user_id = models.UUIDField()  # no foreign key: the user may be deleted by the time the task is taken
    trace_context = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"greeting {self.pk}"
