"""The status sockets of workers: private, harmless when stale, and told of in a line where nothing runs."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from telemetry import status
from telemetry.status import StatusServer, read_statuses
from telemetry.status_report import as_text


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place of the test's own, with a name short enough for a socket."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="st-") as folder:
        monkeypatch.setattr(status, "_bases", lambda: [Path(folder)])
        for patience in ("_SEND_SECONDS", "_ANSWER_SECONDS"):  # for threads of this process, which may be kept waiting
            monkeypatch.setattr(status, patience, 30.0)
        yield Path(folder)


def describe() -> dict[str, Any]:
    return {"pid": 1, "signals": {}}


def test_status_nothing_runs() -> None:
    with pytest.raises(CommandError, match=r"^no running service answers; [^\n]*$"):
        call_command("telemetry", "--status")


def test_status_of_several_services_and_workers() -> None:
    servers = [StatusServer(run, slot, describe) for run in (20, 10) for slot in (1, 0)]
    assert [(told["run"], told["slot"]) for told in read_statuses()] == [(10, 0), (10, 1), (20, 0), (20, 1)]
    for server in servers:
        server.close()
    assert read_statuses() == []


def test_status_leaves_nothing_behind(base: Path) -> None:
    server = StatusServer(1, 0, describe)
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.path.parent.parent.stat().st_mode) == 0o700
    server.close()
    server.close()
    assert not list(base.glob("*/*"))


def test_status_successor_keeps_its_socket() -> None:
    """A slow predecessor that ends after its successor began removes nothing."""
    old = StatusServer(1, 0, lambda: {"age": "old"})
    new = StatusServer(1, 0, lambda: {"age": "new"})
    old.close()
    assert [told["age"] for told in read_statuses()] == ["new"]
    new.close()


def test_status_stale_sockets_are_removed(base: Path) -> None:
    server = StatusServer(1, 0, describe)
    server._socket.shutdown(socket.SHUT_RDWR)
    server._socket.close()  # as a kill does: the file stays
    stale = server.path.parent.parent / "2" / "slot-3.sock"
    stale.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    assert read_statuses() == []
    assert not list(base.rglob("*.sock"))


def test_status_directory_of_somebody_else_is_refused(base: Path) -> None:
    """Others can make directories there, and must neither be told nor believed."""
    planted = base / f"{status._PREFIX}{os.geteuid()}-{status._PROJECT}"
    planted.mkdir(0o777)
    planted.chmod(0o777)
    with pytest.raises(PermissionError):
        StatusServer(1, 0, describe)
    run = planted / "1"
    run.mkdir()
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(run / "slot-0.sock"))
        foreign.listen()
        assert read_statuses() == []


def test_status_error_while_describing_is_told() -> None:
    def broken() -> dict[str, Any]:
        raise RuntimeError

    server = StatusServer(1, 0, broken)
    assert read_statuses() == [{"run": 1, "slot": 0, "error": "RuntimeError"}]
    server.close()


def test_status_asker_that_hangs_up_is_harmless() -> None:
    server = StatusServer(1, 0, lambda: {"text": "x" * 500_000})
    for _ in range(15):
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(str(server.path))
    (told,) = read_statuses()
    assert len(told.get("text", "")) == 500_000, told
    server.close()


def test_status_as_text() -> None:
    told = {"destination": "http://tempo:4317", "protocol": "grpc", "queue": 7, "capacity": 2048, "in_flight": 3}
    told |= {"accepted": 120, "losses": {"unavailable": 12, "rejected": 1}, "retries": 4, "failing": True}
    told |= {"last_success": 990.0, "last_error": {"time": 998.0, "reason": "unavailable", "detail": "refused"}}
    worker = {"run": 5, "slot": 0, "pid": 6, "started": 940.0, "mode": "direct", "service": "user-api"}
    worker |= {"version": "1", "address": "127.0.0.1:80", "signals": {"traces": told, "logs": {"exporter": "console"}}}
    assert as_text([worker], lambda: 1000.0).splitlines() == [
        "user-api 1, mode direct, 127.0.0.1:80 (process 5)",
        "  worker 0 (process 6), up 60 s",
        (
            "    traces  FAILING to http://tempo:4317: queue 7 of 2048, 3 in flight, accepted 120, "
            "lost 13 (rejected 1, unavailable 12), retries 4; last success 10 s ago; "
            "last error 2 s ago: unavailable: refused"
        ),
        "    logs    exporter console",
    ]
