"""What `manage.py telemetry --status` prints."""

from typing import Any

from telemetry.status_report import as_text


def test_status_as_text() -> None:
    spool: dict[str, Any] = {
        "bytes": 8192,
        "limit": 16 << 20,
        "folder": "x",
        "degraded": True,
        "oldest": 900.0,
    }
    traces: dict[str, Any] = {
        "exporter": "otlp",
        "destination": "http://tempo:4317",
        "protocol": "grpc",
        "queue": 7,
        "capacity": 2048,
    }
    traces |= {"in_flight": 3, "accepted": 120, "losses": {"unavailable": 12, "rejected": 1}, "retries": 4}
    traces |= {"failing": True, "last_success": 990.0, "spool": spool}
    traces |= {"last_error": {"time": 998.0, "reason": "unavailable", "detail": "refused"}}
    ring: dict[str, Any] = {
        "slot": 0,
        "pid": 6,
        "alive": True,
        "waiting_bytes": 300,
        "capacity_bytes": 4 << 20,
        "errors": 0,
    }
    ring |= {"dropped": {"spans": 2, "logs": 0, "measurements": 1}}
    status = {
        "run": 5,
        "pid": 8,
        "started": 940.0,
        "starts": 2,
        "mode": "direct",
        "service": "user-api",
        "version": "1",
    }
    status |= {"address": "127.0.0.1:80", "torn": 1, "errors": 0}
    status |= {"rings": [ring, {**ring, "slot": 1, "alive": False, "errors": 3, "dropped": {}}]}
    status |= {"signals": {"traces": traces, "logs": {"exporter": "console"}}}
    assert as_text([status], lambda: 1000.0).splitlines() == [
        "user-api 1, mode direct, 127.0.0.1:80 (process 5)",
        "  exporter (process 8), up 60 s, started 2 times",
        "  slot 0 (process 6): 300 B of 4 MiB waiting, dropped 2 spans, 1 measurements",
        "  slot 1 (free): 300 B of 4 MiB waiting, 3 not recorded",
        "  1 torn records skipped, 0 that could not be exported",
        (
            "  traces  FAILING to http://tempo:4317: 7 of 2048 waiting (8 KiB of 16 MiB), 3 in flight, accepted 120, "
            "lost 13 (rejected 1, unavailable 12), retries 4; last success 10 s ago; "
            "last error 2 s ago: unavailable: refused; "
            "the spool's disk cannot be written; batches wait in x"
        ),
        "  logs    exporter console",
    ]


def test_status_of_an_exporter_without_an_answer() -> None:
    status: dict[str, Any] = {"run": 5, "mode": "direct", "service": "user-api", "version": "1", "address": ""}
    assert as_text([{**status, "error": "the exporter did not answer within 2 s (timed out)"}]).splitlines() == [
        "user-api 1, mode direct (process 5)",
        "  the exporter did not answer within 2 s (timed out)",
    ]


def test_status_of_the_first_process_of_a_container() -> None:
    """No process started it: it has no server's id."""
    status = {"run": 0, "mode": "collector", "service": "worker", "version": "1", "address": "", "error": "silent"}
    assert as_text([status]).splitlines() == ["worker 1, mode collector", "  silent"]
