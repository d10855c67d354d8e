"""The walk from hop to hop: each is checked once and timed, or left out if one that it needs has failed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic, sleep
from typing import Protocol, TypeVar

from telemetry.tools.backends import BackendError

T = TypeVar("T")

_POLL_SECONDS = 0.5
_WAIT_SECONDS = 30.0
_UNAVAILABLE = 503


class State(StrEnum):
    """The state of a hop."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check; `remedy` names what to change if something is wrong."""

    detail: str
    state: State = State.OK
    remedy: str = ""


class HopError(Exception):
    """The request stops here. `remedy` names the variable, file or server to look at."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(f"{detail}; {remedy}")
        self.detail = detail
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Result:
    """One hop after its check; `seconds` is how long that took."""

    hop: str
    target: str
    state: State
    seconds: float
    detail: str
    remedy: str
    cause: str = ""
    """For a hop that was not checked: the hop that failed, or why it was left out."""
    left_out: bool = False
    """Whether it is not part of the path, or not to be checked."""

    @property
    def label(self) -> str:
        return f"{self.hop} {self.target}".strip()

    @property
    def stops(self) -> bool:
        """Whether hops that need this one cannot be checked."""
        return self.state in {State.FAILED, State.NOT_CHECKED}


class Show(Protocol):
    """Where results go."""

    def begin(self, label: str) -> None:
        """Show that a hop is being checked."""

    def result(self, result: Result) -> None:
        """Show its result."""


class Walk:
    """Checks hops in order and keeps the results."""

    def __init__(self, show: Show, wait: float = _WAIT_SECONDS, poll: float = _POLL_SECONDS) -> None:
        """`wait` is how many seconds telemetry may take to arrive, counted from `sent`."""
        self.results: list[Result] = []
        self.wait = wait
        self._show = show
        self._poll = poll
        self._deadline = monotonic()
        self._ready_deadline: float | None = None

    def hop(self, name: str, target: str, check: Callable[[], Finding], needs: Sequence[Result] = ()) -> Result:
        """Check one hop, unless one that it needs stops the request; return the result."""
        stopping = next((result for result in needs if result.stops), None)
        if stopping:
            cause = stopping.cause or stopping.label
            detail = cause if stopping.left_out else f"because of: {cause}"
            return self._keep(
                Result(name, target, State.NOT_CHECKED, 0.0, detail, "", cause, left_out=stopping.left_out)
            )
        self._show.begin(f"{name} {target}".strip())
        started = monotonic()
        finding = self._checked(check)
        return self._keep(Result(name, target, finding.state, monotonic() - started, finding.detail, finding.remedy))

    def leave_out(self, name: str, target: str, reason: str) -> Result:
        """Note that a hop is not part of the path, or is not to be checked."""
        return self._keep(Result(name, target, State.NOT_CHECKED, 0.0, reason, "", reason, left_out=True))

    def until_ready(self, check: Callable[[], None]) -> None:
        """Repeat a server's readiness check while it answers 503, which some do for a moment (Loki after a start).

        All such checks share one wait of at most `wait` seconds. Raises the check's last BackendError.
        """
        if self._ready_deadline is None:
            self._ready_deadline = monotonic() + self.wait
        while True:
            try:
                return check()
            except BackendError as error:
                if error.status != _UNAVAILABLE or monotonic() + self._poll > self._ready_deadline:
                    raise
            sleep(self._poll)

    def sent(self) -> None:
        """Note that the request has just been sent."""
        self._deadline = monotonic() + self.wait

    def until(self, probe: Callable[[], T | None]) -> T | None:
        """Return the first true result of `probe`; None when the wait is over. It is called at least once.

        A server that fails is queried again, and its last error is raised when the wait is over.
        """
        while True:
            error: BackendError | None = None
            try:
                if found := probe():
                    return found
            except BackendError as caught:
                error = caught
            if monotonic() + self._poll > self._deadline:
                if error:
                    raise error
                return None
            sleep(self._poll)

    def _keep(self, result: Result) -> Result:
        self.results.append(result)
        self._show.result(result)
        return result

    @staticmethod
    def _checked(check: Callable[[], Finding]) -> Finding:
        try:
            return check()
        except HopError as error:
            return Finding(error.detail, State.FAILED, error.remedy)
        except BackendError as error:
            return Finding(f"{error.url}: {error.reason}", State.FAILED, error.remedy)
        except Exception as error:  # noqa: BLE001  (one broken check must not hide the other hops)
            # Not its text, which may contain secrets.
            return Finding(
                f"the check itself failed ({type(error).__name__})", State.FAILED, "this is a bug: report it"
            )
