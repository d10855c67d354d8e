"""A task queue in the database: a request adds a task, a worker takes it, and the trace continues there."""

import logging
from uuid import UUID

from django.db import transaction
from opentelemetry import context, propagate, trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind

from userapi.greetings import client
from userapi.greetings.models import Task
from userapi.users.models import User

_QUEUE = "greetings"
_ATTRIBUTES = {"messaging.system": "database", "messaging.destination.name": _QUEUE}

logger = logging.getLogger(__name__)
tracer = trace.get_tracer(__name__)


def enqueue(user_id: UUID) -> None:
    """Add a task to greet the user."""
    attributes = {**_ATTRIBUTES, "messaging.operation.name": "send", "messaging.operation.type": "send"}
    with tracer.start_as_current_span(f"send {_QUEUE}", kind=SpanKind.PRODUCER, attributes=attributes):
        headers: dict[str, str] = {}
        propagate.inject(headers)
        Task.objects.create(user_id=user_id, trace_context=headers)


def work() -> bool:
    """Take the oldest task and deliver its greeting; return whether there was one.

    A task is removed when it is taken: one that fails, or whose worker is killed, is not retried. Only if the database
    fails does it stay there; all queries come first for that.
    """
    outside = context.get_current()
    with suppress_instrumentation(), transaction.atomic():  # looking for work belongs to no trace
        task = Task.objects.select_for_update(skip_locked=True).first()
        if task is None:
            return False
        task.delete()
        attributes = {**_ATTRIBUTES, "messaging.operation.name": "process", "messaging.operation.type": "process"}
        sender = propagate.extract(task.trace_context, outside)
        span = tracer.start_span(f"process {_QUEUE}", sender, kind=SpanKind.CONSUMER, attributes=attributes)
        token = context.attach(trace.set_span_in_context(span, outside))
        try:
            known = User.objects.filter(id=task.user_id).exists()
        finally:
            context.detach(token)
    with trace.use_span(span, end_on_exit=True):
        _deliver(known=known)
    return True


def _deliver(*, known: bool) -> None:
    """Deliver a greeting: in this example, a log record."""
    try:
        client.greeting()
    except client.GreeterError:
        logger.exception("a greeting was not delivered")
        return
    if known:
        logger.info("delivered a greeting")
    else:
        logger.warning("the user to greet no longer exists")
