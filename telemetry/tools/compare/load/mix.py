"""The requests of every load: the same mix for all generators, with the status expected of each."""

import json
import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

PERIOD = 20
"""The mix repeats after so many requests: 60 % reads, 20 % lists, 10 % creates, 5 % missing, 5 % bad input."""

DESCRIPTION = (
    "60 % reads of one user, 20 % lists, 10 % creates, 5 % reads of a missing user, 5 % creates with bad input"
)

ANSWER_SECONDS = 30.0
"""Seconds until a request counts as unanswered: a worker that is replaced on a busy machine starts in fewer."""


class Request(NamedTuple):
    """One request; `body` is JSON, empty for none."""

    method: str
    path: str
    body: str
    expected: int
    """The expected status, 0 for any below 400."""

    @property
    def is_numbered(self) -> bool:
        """Whether it contains `{n}`, which makes each request different."""
        return "{n}" in self.path + self.body

    def numbered(self, number: str) -> "Request":
        """Return the request with `number` in place of `{n}`."""
        if not self.is_numbered:
            return self
        return self._replace(path=self.path.replace("{n}", number), body=self.body.replace("{n}", number))


def is_right(status: int, expected: int) -> bool:
    """Return whether an answer has the expected status."""
    return status == expected if expected else 0 < status < HTTPStatus.BAD_REQUEST


class Mix:
    """The requests of one load, by number. `users` are paths of users that exist, such as `/users/{id}`.

    `given` replaces the service's own mix.
    """

    def __init__(self, users: Sequence[str], given: Sequence[Request] = ()) -> None:
        self._users = users
        self._given = given
        self._run = uuid.uuid4().hex[:12]

    def request(self, number: int) -> Request:
        """Return the request with that number; emails are unique over all loads."""
        if self._given:
            return self._given[number % len(self._given)].numbered(f"{self._run}-{number}")
        match number % PERIOD:
            case 0 | 10:
                body = {"name": "Test User", "email": f"user.{self._run}.{number}@example.com"}
                return Request("POST", "/users", json.dumps(body), HTTPStatus.CREATED)
            case 5:
                return Request("POST", "/users", '{"name": ""}', HTTPStatus.BAD_REQUEST)
            case 15:
                return Request("GET", f"/users/{uuid.uuid4()}", "", HTTPStatus.NOT_FOUND)
            case 2 | 7 | 12 | 17:
                return Request("GET", "/users?page_size=10", "", HTTPStatus.OK)
            case _:
                return Request("GET", self._users[number % len(self._users)], "", HTTPStatus.OK)
