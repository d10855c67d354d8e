"""The counters of the domain: right, after the commit, and without attributes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core import serializers
from django.db import transaction
from django.test import Client
from django.utils.timezone import now
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from userapi.users import metrics
from userapi.users.models import User

pytestmark = pytest.mark.django_db(transaction=True)
USER = {"name": "Test", "email": "test@example.com"}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, int]]:
    """A function that returns each counter's sum; fails if a counter has an attribute."""
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("test")
    for name in ("CREATED", "UPDATED", "DELETED"):
        monkeypatch.setattr(metrics, name, meter.create_counter(f"users.{name.lower()}", unit="{user}"))

    def read() -> dict[str, int]:
        data: Any = reader.get_metrics_data()
        if data is None:
            return {}
        points = {m.name: m.data.data_points for m in data.resource_metrics[0].scope_metrics[0].metrics}
        assert all(not point.attributes for (point,) in points.values())
        return {name.removeprefix("users."): point.value for name, (point,) in points.items()}

    return read


def test_each_change_is_counted_once(api: Client, counted: Callable[[], dict[str, int]]) -> None:
    path = api.post("/users", USER, content_type="application/json")["Location"]
    api.patch(path, {"name": "New"}, content_type="application/json")
    api.put(path, USER, content_type="application/json")
    api.delete(path)
    assert counted() == {"created": 1, "updated": 2, "deleted": 1}


def test_refused_changes_are_not_counted(api: Client, counted: Callable[[], dict[str, int]]) -> None:
    api.post("/users", USER, content_type="application/json")
    api.post("/users", USER, content_type="application/json")
    api.post("/users", {}, content_type="application/json")
    assert counted() == {"created": 1}


def test_rolled_back_change_is_not_counted(counted: Callable[[], dict[str, int]]) -> None:
    with transaction.atomic():
        User.objects.create(**USER)
        assert counted() == {}
        transaction.set_rollback(True)
    assert counted() == {}


def test_deletion_of_many_is_counted_by_user(counted: Callable[[], dict[str, int]]) -> None:
    User.objects.bulk_create(User(name=str(n), email=f"{n}@example.com") for n in range(3))
    User.objects.all().delete()
    assert counted() == {"deleted": 3}


def test_fixture_is_not_counted(counted: Callable[[], dict[str, int]]) -> None:
    data = serializers.serialize("json", [User(**USER, created_at=now(), updated_at=now())])
    for each in serializers.deserialize("json", data):
        each.save()
    assert counted() == {}


def test_names_of_the_counters() -> None:
    # The API's proxies keep the name that the providers get.
    names = [counter._name for counter in (metrics.CREATED, metrics.UPDATED, metrics.DELETED)]  # type: ignore[attr-defined]
    assert names == ["users.created", "users.updated", "users.deleted"]
