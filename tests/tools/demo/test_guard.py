from telemetry.tools.demo.guard import watch


def test_watch_returns_what_is_left_latest_first() -> None:
    assert watch(["+10\n", "+11\n", "-10\n", "+12\n"]) == [12, 11]


def test_watch_ignores_line_that_was_cut_short() -> None:
    assert watch(["+10\n", "+11"]) == [10]
