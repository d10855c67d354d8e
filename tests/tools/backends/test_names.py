"""A host name without an address: inside of Docker most often a container that does not run."""

from pathlib import Path

import pytest

from telemetry.tools.backends import BackendError, Tempo, names
from telemetry.tools.backends.names import unresolved_remedy

VARIABLE = "TELEMETRY_TEMPO_URL"


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that is a container."""
    monkeypatch.setattr(names, "_MARKS_OF_A_CONTAINER", (tmp_path,))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that is none."""
    monkeypatch.setattr(names, "_MARKS_OF_A_CONTAINER", (tmp_path / "nothing",))


@pytest.mark.usefixtures("container")
@pytest.mark.parametrize(("name", "started"), [("alloy", "alloy"), ("loki", "loki"), ("traces", "tempo (or jaeger)")])
def test_name_in_container_is_one_that_does_not_run(name: str, started: str) -> None:
    assert unresolved_remedy(name, VARIABLE) == (
        f"most likely its container is not running: docker start {started} (docker ps --all shows its state); "
        "otherwise correct the host in TELEMETRY_TEMPO_URL"
    )


@pytest.mark.usefixtures("host")
def test_name_outside_of_containers_may_be_one_of_compose() -> None:
    assert "resolve only in its network: run make verify" in unresolved_remedy("alloy", VARIABLE)


@pytest.mark.usefixtures("container")
def test_name_with_a_domain_is_wrong() -> None:
    assert unresolved_remedy("tempo.example.com", VARIABLE) == "correct the host in TELEMETRY_TEMPO_URL"


@pytest.mark.usefixtures("container")
def test_backend_says_so() -> None:
    with pytest.raises(BackendError) as caught:
        Tempo("http://no-such-container:3200").check_ready()
    assert caught.value.reason == "the host name cannot be resolved"
    assert caught.value.remedy.startswith("most likely its container is not running: docker start no-such-container ")
