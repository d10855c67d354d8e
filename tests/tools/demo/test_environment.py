import stat
from pathlib import Path

import pytest
from environ import Env

from telemetry.config import TelemetryConfig
from telemetry.tools.demo.environment import ROOT, demo_folder, prepare, service_environment
from telemetry.tools.demo.ports import MODES, Mode, Ports


def test_prepare_removes_what_is_meant_for_another_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {
        "DATABASE_URL": "postgres://other",
        "OTEL_SDK_DISABLED": "true",
        "GUNICORN_CMD_ARGS": "-w 9",
        "HOME": "/x",
    }
    prepare(["--folder", str(tmp_path)], environ)
    assert environ["DATABASE_URL"] == f"sqlite:///{tmp_path}/db.sqlite3"
    assert "OTEL_SDK_DISABLED" not in environ
    assert "GUNICORN_CMD_ARGS" not in environ
    assert environ["HOME"] == "/x"
    assert "DATABASE_URL, GUNICORN_CMD_ARGS, OTEL_SDK_DISABLED" in capsys.readouterr().err


def test_prepare_keeps_one_secret_that_only_its_owner_reads(tmp_path: Path) -> None:
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    prepare(["--folder", str(tmp_path)], first)
    prepare(["--folder", str(tmp_path)], second)
    assert first["DJANGO_SECRET_KEY"] == second["DJANGO_SECRET_KEY"]
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600


def test_prepare_renews_secret_that_was_cut_short(tmp_path: Path) -> None:
    (tmp_path / "secret-key").write_text("short")
    environ: dict[str, str] = {}
    prepare(["--folder", str(tmp_path)], environ)
    assert len(environ["DJANGO_SECRET_KEY"]) > 50


def test_prepare_without_usable_folder_ends_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"choose another one with --folder"):
        prepare(["--folder", str(tmp_path / "file" / "below")], {})


def test_prepare_keeps_exporters_from_proxies(tmp_path: Path) -> None:
    environ = {"no_proxy": "internal"}
    prepare(["--folder", str(tmp_path)], environ)
    assert environ["no_proxy"] == "internal,localhost,127.0.0.1"
    assert environ["NO_PROXY"] == "localhost,127.0.0.1"


def test_demo_folder_differs_by_port_offset() -> None:
    assert demo_folder(None, 0) == ROOT / ".demo"
    assert demo_folder(None, 7) == ROOT / ".demo" / "offset-7"


@pytest.mark.parametrize("mode", MODES)
def test_service_environment_is_accepted_without_warning(mode: Mode) -> None:
    config = TelemetryConfig.from_env(service_environment(mode, Ports(100)))
    assert config.mode == mode
    assert config.warnings == ()
    assert {config.traces.endpoint, config.logs.endpoint} == (
        {"http://127.0.0.1:4417"}
        if mode == "collector"
        else {"http://127.0.0.1:4418/v1/traces", "http://127.0.0.1:4418/v1/logs"}
    )
    assert config.metrics.exporter == ("otlp" if mode == "collector" else "prometheus")


def test_prepare_in_a_folder_with_special_characters_keeps_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "c++ #1?%20"
    environ: dict[str, str] = {}
    prepare([f"--folder={folder}"], environ)
    assert Env.db_url_config(environ["DATABASE_URL"])["NAME"] == str(folder / "db.sqlite3")
