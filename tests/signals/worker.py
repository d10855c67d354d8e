"""A worker of a queue, which serves no request: `python -m tests.signals.worker`, a task of JSON in each line."""

import json
import os
import sys

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind

from telemetry import lifecycle


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "userapi.settings")
    import django

    django.setup()
    lifecycle.start()
    from userapi.users.models import User

    tracer = trace.get_tracer(__name__)
    for line in sys.stdin:
        context = propagate.extract(json.loads(line))
        with tracer.start_as_current_span("process greeting", context, kind=SpanKind.CONSUMER):
            User.objects.exists()


if __name__ == "__main__":
    main()
