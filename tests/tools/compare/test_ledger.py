"""What adds up and what does not."""

from collections import Counter

import pytest

from telemetry.tools.compare.counts.ledger import Account, Stored, accounts, item_account, problems

ALL = Stored(server_spans=10, access_records=10, requests=10, spans=25, log_records=12)


def test_all_that_was_sent_is_there() -> None:
    found = accounts(responses=10, failed=0, stored=ALL, losses={})
    assert [account.signal for account in found] == ["spans", "log records", "counter"]
    assert problems(found, {}, 0) == []


@pytest.mark.parametrize("field", ["server_spans", "access_records", "requests"])
def test_each_signal_that_lacks_one_is_reported(field: str) -> None:
    stored = Stored(**{**{name: getattr(ALL, name) for name in Stored.__slots__}, field: 9})
    (problem,) = problems(accounts(responses=10, failed=0, stored=stored, losses={}), {}, 0)
    assert "1 of 10 are missing; reasons counted: none" in problem


def test_a_loss_needs_as_many_reasons() -> None:
    assert Account("spans", 10, 7, Counter(queue_full=3)).problem() is None
    assert Account("spans", 10, 7, Counter(queue_full=2)).unexplained == 1
    assert "queue_full 2" in (Account("spans", 10, 7, Counter(queue_full=2)).problem() or "")


def test_more_than_was_sent_is_reported_unless_requests_went_unanswered() -> None:
    assert "2 more than were sent" in (Account("spans", 10, 12).problem() or "")
    assert Account("spans", 10, 12, surplus_allowed=2).problem() is None
    assert Account("spans", 10, 13, surplus_allowed=2).unexplained == -1


def test_a_certain_loss_must_show_and_an_uncertain_one_may() -> None:
    assert item_account("spans", 20, 15, Counter(queue_full=5)).problem() is None
    assert item_account("spans", 20, 20, Counter(queue_full=5)).unexplained == -5
    assert item_account("spans", 20, 18, Counter(timeout=5)).problem() is None
    assert item_account("spans", 20, 14, Counter(timeout=5)).unexplained == 1


def test_wrong_and_missing_answers_are_reported() -> None:
    assert problems([], {"500": 2}, 3) == ["answers with a wrong status: 2 x 500", "3 requests got no answer"]
    assert problems([], {}, 3, may_fail=True) == []
