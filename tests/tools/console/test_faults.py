import re

import pytest

from telemetry.tools.console.receiving.faults import Faults


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "faults are not a JSON object"),
        (
            {"statu": 1},
            "statu is no field of faults; expected one of status, retry_after, delay, partial_reject, signals",
        ),
        ({"status": 200}, "status is 200; expected an HTTP status from 300 to 599, or none"),
        ({"status": "503"}, "status is '503'"),
        ({"status": True}, "status is True"),
        ({"delay": -1}, "delay is -1; expected seconds from 0 to 3600"),
        ({"delay": "1"}, "delay is '1'"),
        ({"retry_after": float("nan")}, "retry_after is nan"),
        ({"partial_reject": -1}, "partial_reject is -1; expected an integer from 0"),
        ({"signals": "traces"}, "signals is 'traces'; expected a list of traces, metrics, logs"),
        ({"signals": ["spans"]}, "signals has 'spans'; expected traces, metrics, logs"),
    ],
)
def test_faults_from_bad_json_name_field_value_and_expected(data: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Faults.from_json(data)


def test_faults_from_json_take_every_field() -> None:
    data = {"status": 503, "retry_after": 1, "delay": 0.5, "partial_reject": 2, "signals": ["logs"]}
    assert Faults.from_json(data) == Faults(503, 1, 0.5, 2, ("logs",))
