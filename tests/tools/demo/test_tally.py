from telemetry.tools.demo.arrivals import Arrived
from telemetry.tools.demo.show import plain, table
from telemetry.tools.demo.tally import ModeTally, Tally
from telemetry.tools.traffic.client import Sent


def sent(answered: int, *, failures: int = 0, errors: int = 0) -> Sent:
    statuses = {200: answered - errors} | ({503: errors} if errors else {})
    failure, error = "GET /users: refused" if failures else "", "POST /users: 503" if errors else ""
    return Sent(answered + failures, statuses, failures, failure, last_server_error=error)


def arrived(spans: int, records: int, requests: int) -> Arrived:
    return Arrived(server_spans=spans, access_records=records, requests=requests)


def test_reasons_none_when_all_counts_are_equal() -> None:
    assert ModeTally(sent(10), arrived(10, 10, 10)).reasons() == []


def test_reasons_none_with_visitors_in_every_signal() -> None:
    tally = ModeTally(sent(10), arrived(12, 12, 12))
    assert (tally.reasons(), tally.visitors) == ([], 2)


def test_reasons_name_each_signal_that_lost() -> None:
    assert ModeTally(sent(10), arrived(9, 10, 7)).reasons() == [
        "1 of 10 server spans did not arrive",
        "3 of 10 requests in the metrics did not arrive",
    ]


def test_reasons_name_signal_that_lost_a_visit() -> None:
    assert ModeTally(sent(10), arrived(12, 11, 12)).reasons() == ["1 of 12 access records did not arrive"]


def test_reasons_and_visitors_with_calls_of_the_greeter() -> None:
    tally = ModeTally(sent(10), arrived(13, 13, 12), calls=2)
    assert (tally.reasons(), tally.visitors) == (["1 of 13 requests in the metrics did not arrive"], 1)


def test_reasons_none_for_visit_after_last_scrape() -> None:
    assert ModeTally(sent(10), arrived(12, 12, 11), late_visits=1).reasons() == []


def test_reasons_for_own_requests_despite_late_visits() -> None:
    assert ModeTally(sent(10), arrived(10, 10, 9), late_visits=1).reasons() != []


def test_reasons_none_for_failed_request_that_was_recorded_would_hide_failure() -> None:
    assert ModeTally(sent(10, failures=1), arrived(11, 11, 11)).reasons() == [
        "1 of 11 requests got no answer (the last one: GET /users: refused)"
    ]


def test_reasons_for_server_errors() -> None:
    assert ModeTally(sent(10, errors=2), arrived(10, 10, 10)).reasons() == [
        "2 of 10 requests were answered with a server error (the last one: POST /users: 503)"
    ]


def test_tally_joins_troubles_and_reasons_of_modes() -> None:
    tally = Tally({"direct": ModeTally(sent(2), arrived(1, 2, 2))}, 1.23, ["the console ended"])
    assert tally.as_json()["reasons"] == ["the console ended", "direct: 1 of 2 server spans did not arrive"]
    assert tally.as_json()["ok"] is False
    assert tally.as_json()["seconds"] == 1.2


def test_table_fits_a_narrow_terminal() -> None:
    largest = Arrived(999_999, 999_999, 999_999, 9_999_999, 99_999_999, 0, 999_999)
    lines = table({"collector": ModeTally(sent(999_999), largest)})
    assert {len(line) for line in lines[:2]} == {len(lines[2])}
    assert len(lines[2]) < 80


def test_plain_names_data_points_or_samples() -> None:
    tally = ModeTally(sent(1), Arrived(data_points=3, scraped_samples=4))
    assert "3 data points" in plain("collector", tally)
    assert "4 scraped samples" in plain("direct", tally)
