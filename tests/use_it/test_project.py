"""What the wheel holds and asks for, and when it does nothing in the project that has installed it."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from email import message_from_string
from functools import cache
from importlib.metadata import distributions, requires
from pathlib import Path
from time import sleep

import pytest
from django.core.exceptions import ImproperlyConfigured
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pytest_django.fixtures import Settings

from telemetry.apps import add_middleware
from telemetry.project import read_project
from telemetry.tools.console.server import Console
from tests.support.service import ROOT, wait_until
from tests.use_it.project import Server, make_project, running
from tests.use_it.test_servers import SERVERS, environment, records, spans

GUNICORN = SERVERS["gunicorn, `sync`"]
WITHOUT_HOOKS = SERVERS["gunicorn, preloading, without our hooks"]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
#: The extras of telemetry's modules, by the beginnings of their paths; the first counts. Others are used without any.
EXTRAS = {
    "exporting/transports/otlp_grpc.py": "grpc",
    "config/yaml_file.py": "file",
    "tools/console/assistant.py": "mcp",
    "tools/management/commands/console.py": "mcp",
    "tools/compare/upstream/contrib": "contrib",
    "tools/compare/upstream/": "others",
    "tools/compare/": "compare",
    "tools/": "console",
}

TESTS = """
from django.test import LiveServerTestCase, TestCase
from urllib.request import urlopen


class Here(TestCase):
    def test_here(self):
        self.assertEqual(self.client.get("/plain/1").status_code, 200)

    async def test_here_in_a_loop(self):
        self.assertEqual((await self.async_client.get("/waiting")).status_code, 200)


class Live(LiveServerTestCase):
    def test_live(self):
        self.assertEqual(urlopen(self.live_server_url + "/plain/1").status, 200)
"""
# Serves one request in this process, and prints which modules it took.
ONE_REQUEST = """
import json, sys
from wsgiref.util import setup_testing_defaults
from mysite.wsgi import application
environ = {"PATH_INFO": "/nowhere", "SERVER_NAME": "localhost", "HTTP_HOST": "localhost"}
setup_testing_defaults(environ)
application(environ, lambda *_: None).close()
if "export" in sys.argv:
    import telemetry.exporting.service, telemetry.exporting.collector, telemetry.exporting.transports.otlp_http
json.dump(sorted(sys.modules), sys.stdout)
"""


# What Windows lacks; modules of Python that find it here are imported before.
WINDOWS = """
import asyncio, os, random, subprocess, sys
del os.fork, os.register_at_fork, os.getppid
sys.modules["fcntl"] = sys.modules["resource"] = None
"""


def modules(project: Path, site: Path, env: dict[str, str], *arguments: str) -> set[str]:
    server = Server(project, site, "", {**env, "DJANGO_SETTINGS_MODULE": "mysite.settings"})
    ended = server.run(sys.executable, "-c", ONE_REQUEST, *arguments)
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout))


def closure(needed: Iterable[Requirement]) -> set[str]:
    """Return the distributions of requirements, and all that these need."""
    found: set[tuple[str, str]] = set()
    waiting: list[tuple[str, str]] = [
        (canonicalize_name(one.name), extra) for one in needed for extra in ("", *one.extras)
    ]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for one in map(Requirement, requires(name) or ()):
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(one.name), more) for more in ("", *one.extras)]
    return {name for name, _ in found}


def declared(extra: str) -> set[str]:
    """Return what installing the package with an extra brings."""
    project = PROJECT["project"]
    extras, texts = project["optional-dependencies"], [*project["dependencies"]]
    waiting = [extra] if extra else []
    while waiting:
        for text in extras[waiting.pop()]:
            one = Requirement(text)
            if one.name == project["name"]:
                waiting += one.extras
            else:
                texts.append(text)
    return closure(map(Requirement, texts))


@cache
def owners() -> dict[str, str]:
    """Return the distributions of all installed modules; a namespace has none of its own."""
    found = {}
    for distribution in distributions():
        owner = str(canonicalize_name(distribution.name))
        for line in (distribution.read_text("RECORD") or "").splitlines():  # `files` would take seconds
            folder, _, file = line.partition(",")[0].rpartition("/")
            if file.endswith((".py", ".so")):
                name = f"{folder}/{file.partition('.')[0]}".strip("/").replace("/", ".")
                found[name.removesuffix(".__init__")] = owner
    return found


def owner(module: str) -> str:
    """Return the distribution of a module, or of one of its names; "" if it is of none."""
    while module and module not in owners():
        module = module.rpartition(".")[0]
    return owners().get(module, "")


def imported(source: str) -> set[str]:
    """Return the distributions that a module imports, at any place in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{each.name}" for each in node.names}
    others = {name for name in names if name.partition(".")[0] not in {*sys.stdlib_module_names, "telemetry"}}
    assert all(map(owner, others)), [name for name in others if not owner(name)]
    return set(map(owner, others))


def test_wheel_is_one_typed_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith("/METADATA")]
    assert "telemetry/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {"telemetry", "django_otel_journal-0.1.0.dist-info"}
    extras = set(message_from_string(metadata).get_all("Provides-Extra") or ())
    assert extras == {"grpc", "console", "compare", "contrib", "file", "mcp"}


def test_what_runs_is_of_the_declared_dependencies(project: Path, site: Path, console: Console) -> None:
    loaded = modules(project, site, environment(console, "collector"), "export")
    assert "telemetry" in loaded
    used = {owner(name) for name in loaded} - {""}
    assert {"urllib3", "opentelemetry-sdk"} <= used
    # What urllib3 and others take where it happens to be installed is not needed.
    assert used - declared("") <= {"setuptools", "brotli", "typing-extensions"}
    assert "grpc" not in loaded


@pytest.mark.parametrize("extra", ["", "grpc", "file", "console", "mcp", "compare", "contrib"])
def test_what_an_extra_is_for_imports_what_it_declares(extra: str) -> None:
    imports = {
        path: imported(path.read_text(encoding="utf-8"))
        for path in (ROOT / "telemetry").rglob("*.py")
        if extra_of(path.relative_to(ROOT / "telemetry").as_posix()) == extra
    }
    assert any(imports.values())
    found: set[str] = set().union(*imports.values())
    # A server's own modules, and the project's database.
    assert found - declared(extra) <= {"gunicorn", "psycopg"}, imports


def extra_of(path: str) -> str:
    """Return the extra without which a module of telemetry is not used."""
    return next((extra for place, extra in EXTRAS.items() if path.startswith(place)), "")


def test_telemetry_that_is_off_is_not_there(project: Path, site: Path, console: Console) -> None:
    loaded = modules(project, site, {**environment(console, "collector"), "TELEMETRY_MODE": "off"})
    assert "telemetry.apps" in loaded
    ours = {
        name for name in loaded if name.startswith(("telemetry.recording", "telemetry.exporting", "opentelemetry.sdk"))
    }
    assert ours == set()
    assert console.store.totals() == {}


@pytest.mark.parametrize(("mode", "warnings"), [("off", 0), ("collector", 1)])
def test_telemetry_is_off_on_windows(project: Path, site: Path, console: Console, mode: str, warnings: int) -> None:
    settings = {"TELEMETRY_MODE": mode, "DJANGO_SETTINGS_MODULE": "mysite.settings"}
    server = Server(project, site, "", {**environment(console, "collector"), **settings})
    ended = server.run(
        sys.executable, "-c", WINDOWS + ONE_REQUEST + "from telemetry import lifecycle; lifecycle.start()"
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("telemetry: nothing is recorded: that needs a POSIX system") == warnings
    assert console.store.totals() == {}


@pytest.mark.parametrize("instrumentation", ["native", "contrib"])
def test_commands_and_tests_send_nothing(project: Path, site: Path, console: Console, instrumentation: str) -> None:
    (project / "mysite" / "tests.py").write_text(TESTS)
    env = environment(console, "collector") | {"TELEMETRY_INSTRUMENTATION": instrumentation}
    server = Server(project, site, "", env)
    for arguments, printed in ((["migrate"], ""), (["test", "mysite"], "Ran 3 tests")):
        ended = server.run(sys.executable, "manage.py", *arguments)
        assert ended.returncode == 0, ended.stderr
        assert printed in ended.stderr
    sleep(0.5)
    assert console.store.totals() == {}


def test_stock_project_needs_two_lines(stock: Path, tmp_path: Path, site: Path, console: Console) -> None:
    project = make_project(stock, tmp_path / "stock", views=False)
    with running(project, site, GUNICORN, environment(console, "collector")) as server:
        for path in ("/", "/admin/login/", "/nobody@example.com"):
            server.get(path)
        wait_until(lambda: spans(console) >= 3 and records(console) >= 3, 60, "spans and records")
    spans_of_it = [span for span in console.store.spans() if span.kind == "server"]
    assert sorted(str(span.attributes.get("http.route")) for span in spans_of_it) == ["/", "/admin/login/", "None"] or (
        len(spans_of_it) == 3
    )
    assert all("nobody@example.com" not in record.body for record in console.store.logs())
    assert "Not Found: /nobody@example.com" in server.log.read_text()  # its own console stays as it was


@pytest.mark.parametrize(
    "name", ["gunicorn, `sync`", "gunicorn, preloading, without our hooks", "uvicorn", "runserver"]
)
def test_bad_value_ends_the_server_with_one_line(project: Path, site: Path, name: str) -> None:
    server = Server(project, site, SERVERS[name].replace("--workers 2", "--workers 1"), {"TELEMETRY_MODE": "colector"})
    with pytest.raises(RuntimeError) as ended:
        server.start()
    server.stop()
    assert str(ended.value).count("TELEMETRY_MODE: ") == 1
    assert "Traceback" not in str(ended.value)


@pytest.mark.parametrize("options", ["-c python:telemetry.servers.gunicorn", "", "--preload"])
def test_tornado_worker_is_refused(project: Path, site: Path, options: str) -> None:
    command = f"gunicorn {options} --bind 127.0.0.1:8000 --workers 1 --worker-class tornado mysite.wsgi"
    server = Server(project, site, command, {})
    with pytest.raises(RuntimeError) as ended:
        server.start()
    server.stop()
    assert str(ended.value).count("telemetry: --worker-class: unsupported value 'tornado'; expected sync, ") == 1
    assert "Traceback" not in str(ended.value)


def test_tornado_worker_without_telemetry_is_not_our_business(project: Path, site: Path) -> None:
    command = "gunicorn -c python:telemetry.servers.gunicorn --bind 127.0.0.1:8000 --worker-class tornado mysite.wsgi"
    with running(project, site, command, {"TELEMETRY_MODE": "off"}) as server:
        assert server.get("/nowhere")[0] == 404


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"ACCES_LOGGER": "x"}, "TELEMETRY: unknown key 'ACCES_LOGGER'; expected SERVICE_NAME, "),
        ({"METRICS_PATH": "metrics"}, "TELEMETRY['METRICS_PATH']: invalid value 'metrics'; expected a path"),
        (["SERVICE_NAME"], "TELEMETRY: invalid value ['SERVICE_NAME']; expected a dictionary."),
    ],
)
def test_bad_setting_is_named(settings: Settings, given: object, text: str) -> None:
    settings.TELEMETRY = given
    with pytest.raises(ImproperlyConfigured, match=re.escape(text)):
        read_project()


@pytest.mark.parametrize("kind", [list, tuple])
def test_middleware_stays_a_list_or_a_tuple(settings: Settings, kind: type) -> None:
    """Another application may add to it: `settings.MIDDLEWARE = settings.MIDDLEWARE + (...)`."""
    settings.MIDDLEWARE = kind(["shop.middleware"])
    add_middleware()
    ours = ["telemetry.middleware.requests", "telemetry.middleware.access_log"]
    assert kind([*ours, "shop.middleware"]) == settings.MIDDLEWARE


def test_bad_setting_ends_a_command_with_one_line(project: Path, site: Path) -> None:
    with (project / "mysite" / "settings.py").open("a") as settings:
        settings.write("TELEMETRY = {'METRICS_PATH': 'metrics'}\n")
    ended = Server(project, site, "", {}).run(sys.executable, "manage.py", "check")
    assert ended.returncode != 0
    assert "TELEMETRY['METRICS_PATH']: invalid value 'metrics'" in ended.stderr.splitlines()[-1]


def accesses(console: Console) -> list[str | None]:
    return [record.body for record in console.store.logs() if record.scope.name == "shop.access"]


def test_settings_of_the_document_are_obeyed(project: Path, site: Path, console: Console) -> None:
    settings = project / "mysite" / "settings.py"
    settings.write_text(
        f"{settings.read_text()}\nfrom telemetry.log_config import logging_config\nLOGGING = logging_config()\n"
        'TELEMETRY = {"SERVICE_NAME": "shop", "SERVICE_VERSION": "1.2.0", "UNTRACED_PATHS": ["/livez", "/waiting"],'
        ' "METRICS_PATH": "/internal", "ACCESS_LOGGER": "shop.access"}\n'
    )
    one_worker = WITHOUT_HOOKS.replace("--workers 2", "--workers 1")
    with running(project, site, one_worker, environment(console, "direct")) as server:
        # A process whose first request is a scrape records all others.
        wait_until(lambda: server.get("/internal")[0] == 200, 60, "an answer to a scrape")
        for path in ("/waiting", "/plain/1"):
            server.get(path)
        wait_until(lambda: spans(console) and accesses(console), 60, "a span and a record")
        sleep(0.3)
    (span,) = [span for span in console.store.spans() if span.kind == "server"]
    assert (span.resource.service, span.attributes["http.route"]) == ("shop", "/plain/{number}")
    assert accesses(console) == ["GET /plain/{number} 200"]
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert {"GET /plain/{number} 200", "asked"} <= {line["body"] for line in lines if "trace_id" in line}


def test_module_of_hooks_is_enough_for_gunicorn(site: Path) -> None:
    code = "from gunicorn.app.wsgiapp import WSGIApplication as A; print(A('').cfg.on_exit.__module__)"
    command = [sys.executable, "-c", code, "-c", "python:telemetry.servers.gunicorn", "none"]
    ended = subprocess.run(command, env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == "telemetry.servers.gunicorn", ended.stderr
