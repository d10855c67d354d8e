"""The arithmetic of an account: what is stored, missing, on its way and twice."""

import pytest

from telemetry.tools.account import Account, Passed, Recorded, Stored, as_data, from_data


def account(recorded: Recorded, stored: Stored | int, passed: Passed | None = None) -> Account:
    return Account("traces", recorded, passed, Stored("Tempo", stored) if isinstance(stored, int) else stored)


def missing(found: Account) -> dict[str, int]:
    return {f"{one.where}: {one.reason}": one.items for one in found.missing()}


def test_waiting_is_not_lost() -> None:
    found = account(Recorded(100, 70, waiting=30), 70)
    assert (found.completeness, found.on_its_way, found.lost) == (1, 30, 0)
    found = account(Recorded(100, 70, waiting=30), 90)  # some of it has arrived since
    assert (found.completeness, found.on_its_way, found.lost) == (1, 10, 0)


def test_waiting_in_the_collector_is_not_lost() -> None:
    queued = Passed("Alloy", received=100, refused=0, sent=60, queued=True)
    found = account(Recorded(100, 100), 60, queued)
    assert (found.completeness, found.on_its_way, found.lost) == (1, 40, 0)
    dropped = Passed("Alloy", received=100, refused=0, sent=60)
    assert missing(account(Recorded(100, 100), 60, dropped)) == {
        "Alloy: received but not sent on (filtered or sampled)": 40
    }


def test_each_hop_has_what_it_lost() -> None:
    recorded = Recorded(1000, 950, {"queue_full": 40, "refused": 10})
    passed = Passed("Alloy", received=900, refused=7, sent=880, lost={"send_failed": 20})
    found = account(recorded, Stored("Tempo", 800, discarded={"trace_too_large": 50}), passed)
    assert missing(found) == {
        "the service: queue_full": 40,
        "the service: refused": 10,
        "Alloy: confirmed but not counted as received": 50,
        "Alloy: send_failed": 20,
        "Tempo: trace_too_large": 50,
        "between Alloy and Tempo: confirmed but not stored": 30,
    }
    assert found.lost == sum(missing(found).values()) == 200
    assert found.completeness == 0.8


def test_others_of_a_shared_collector_hide_nothing() -> None:
    """Its counts are of all its senders: what it gained from others does not make up for what is missing."""
    passed = Passed("Alloy", received=5000, refused=0, sent=5000)
    assert missing(account(Recorded(100, 100), 90, passed)) == {"between Alloy and Tempo: confirmed but not stored": 10}


def test_not_exported_is_the_service_s() -> None:
    assert missing(account(Recorded(100, 95), 95)) == {"the service: recorded but not exported": 5}


def test_margin_covers_what_no_reason_explains() -> None:
    assert account(Recorded(1000, 1000, margin=10), 990).completeness == 1
    assert account(Recorded(1000, 1000, margin=10), 989).lost == 11
    found = account(Recorded(1000, 998, {"refused": 2}, margin=10), 995)
    assert missing(found) == {"the service: refused": 2}  # what is counted is lost, whatever the margin
    assert account(Recorded(1000, 1000, margin=10), 1010).twice == 0


def test_what_arrived_twice_hides_no_loss() -> None:
    found = account(Recorded(1000, 900, {"refused": 100}), 950)
    assert (found.distinct, found.twice, found.lost, found.completeness) == (900, 50, 100, 0.9)
    found = account(Recorded(1000, 1000), Stored("Jaeger", 1000, twice=5))
    assert (found.twice, found.completeness) == (5, 1)


def test_timed_out_may_have_arrived() -> None:
    found = account(Recorded(1000, 900, {"timeout": 100}), 960)
    assert (found.lost, found.twice, missing(found)) == (40, 0, {"the service: timeout": 40})


def test_nothing_recorded_has_no_share() -> None:
    assert account(Recorded(0, 0), 0).completeness is None
    assert account(Recorded(5, 0, waiting=5), 0).completeness is None


@pytest.mark.parametrize("passed", [None, Passed("Alloy", 9, 1, 8, {"send_failed": 1}, queued=True)])
def test_data_is_read_back(passed: Passed | None) -> None:
    found = account(
        Recorded(10, 8, {"refused": 1}, 1, 2, "scrapes"), Stored("Tempo", 30, 3, 1.5, {"too_large": 2}), passed
    )
    again = from_data(as_data(found))
    assert as_data(again) == as_data(found)
