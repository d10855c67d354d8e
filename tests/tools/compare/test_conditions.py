"""The same set-ups under other conditions: every count still adds up."""

import re
from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.timeout(400)
def test_counts_add_up_with_sampling_sync_workers_and_postgres(
    measure: Callable[..., dict[str, Any]], postgres_socket_url: str
) -> None:
    arguments = ("--scenarios", "conditions", "--variants", "direct", "--collector", "none", "--keep-data")
    report = measure(*arguments, "--postgres", postgres_socket_url)
    assert (report["complete"], report["problems"]) == (True, [])
    columns = {one["key"]: one for one in report["conditions"]["columns"]}
    assert columns.keys() == {"sampled", "sync", "postgresql"}
    assert re.fullmatch(r"PostgreSQL \d+, psycopg's pool", columns["postgresql"]["title"])
    for key, column in columns.items():
        (direct,) = column["variants"]
        signals = {"log records", "counter"} if key == "sampled" else {"spans", "log records", "counter"}
        for signal in signals:
            assert direct["counts"][signal]["sent"] == direct["counts"][signal]["stored"] > 20
        assert ("spans" in direct["counts"]) is (key != "sampled")
        assert direct["runs"][0]["cpu"] > 0
    # Where the server is has no place in what a reader sees.
    assert "--postgres postgres://" in report["command"]
    assert postgres_socket_url.partition("@")[2].partition("/postgres")[0] not in report["command"]
