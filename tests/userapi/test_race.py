"""Several clients at the same moment: the database decides, and the others get a 4xx."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier
from typing import Any

import pytest

from tests.support.service import Service

ROUNDS = 10
CLIENTS = 6
NUMBERS = count()

Call = tuple[Any, ...]
"""Method, path and body, and headers if there are any."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, open_services: Callable[[str], Service]) -> Service:
    """One of two workers for each database: every test has users of its own."""
    return open_services(request.param)


def at_once(service: Service, calls: list[Call]) -> Counter[int]:
    """Send all calls together, each from a client of its own; return how often each status came."""
    barrier = Barrier(len(calls))

    def send(call: Call) -> int:
        barrier.wait(60)
        return service.request(*call)[0]

    with ThreadPoolExecutor(len(calls)) as pool:
        return Counter(pool.map(send, calls))


def user() -> dict[str, str]:
    """A user that there is not yet."""
    return {"name": "Test", "email": f"test{next(NUMBERS)}@race.example"}


def create(service: Service) -> str:
    """Return the path of a new user."""
    status, headers, body = service.request("POST", "/users", user())
    assert status == 201, body
    assert headers["location"].endswith(json.loads(body)["id"])
    return f"/users/{json.loads(body)['id']}"


def test_posts_of_one_email_make_one_user(service: Service) -> None:
    for _ in range(ROUNDS):
        assert at_once(service, [("POST", "/users", user())] * CLIENTS) == {201: 1, 409: CLIENTS - 1}


def test_patches_to_one_email_leave_one_owner(service: Service) -> None:
    paths = [create(service) for _ in range(CLIENTS)]
    calls: list[Call] = [("PATCH", path, {"email": "one@race.example"}) for path in paths]
    assert at_once(service, calls) == {200: 1, 409: CLIENTS - 1}


def test_changes_of_one_version_succeed_once(service: Service) -> None:
    path = create(service)
    for number in range(ROUNDS):
        tag = service.get(path)[1]["etag"]
        calls: list[Call] = [
            ("PATCH", path, {"name": f"Client {client} in round {number}"}, {"If-Match": tag})
            for client in range(CLIENTS)
        ]
        assert at_once(service, calls) == {200: 1, 412: CLIENTS - 1}


def test_delete_and_changes_of_one_version_succeed_once(service: Service) -> None:
    for _ in range(ROUNDS):
        path = create(service)
        version = {"If-Match": service.get(path)[1]["etag"]}
        calls: list[Call] = [("PATCH", path, {"name": "New"}, version), ("DELETE", path, None, version)]
        statuses = at_once(service, calls * (CLIENTS // 2))
        assert statuses[200] + statuses[204] == 1, statuses
        assert set(statuses) <= {200, 204, 404, 412}


def test_deletes_of_one_user_succeed_once(service: Service) -> None:
    for _ in range(ROUNDS):
        path = create(service)
        assert at_once(service, [("DELETE", path, None)] * CLIENTS) == {204: 1, 404: CLIENTS - 1}


def test_change_never_brings_a_deleted_user_back(service: Service) -> None:
    for _ in range(ROUNDS):
        path = create(service)
        calls: list[Call] = [("DELETE", path, None), ("PATCH", path, {"name": "New"})]
        statuses = at_once(service, calls * (CLIENTS // 2))
        assert statuses[204] == 1
        assert set(statuses) <= {200, 204, 404}
        assert service.get(path)[0] == 404
