"""The signals that stop a demo, a comparison or traffic."""

import os
import signal

import pytest

from telemetry.tools.traffic.interruption import Interruption


@pytest.mark.parametrize(("handler", "asked"), [(signal.SIG_IGN, False), (signal.SIG_DFL, True)])
def test_hangup_stops_only_where_it_is_not_ignored(handler: signal.Handlers, asked: bool) -> None:
    before = signal.signal(signal.SIGHUP, handler)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interruption.wait(0.5) is asked
        assert signal.getsignal(signal.SIGHUP) == handler
    finally:
        signal.signal(signal.SIGHUP, before)
