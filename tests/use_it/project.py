"""A project as anybody has it: what `startproject` makes, and the wheel beside it; nothing of this checkout."""

import http.client
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.service import ROOT, free_port, wait_until

DOCUMENT = (ROOT / "docs" / "use-it.md").read_text(encoding="utf-8")

VIEWS = """
import asyncio
import logging
from time import sleep

from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

logger = logging.getLogger("mysite.shop")


def ask():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return str(cursor.fetchone()[0])


def plain(request, number):
    logger.warning("asked")
    return HttpResponse(ask())


async def waiting(request):
    await asyncio.sleep(0.01)
    return HttpResponse("waited")


def parts():
    for _ in range(3):
        yield ask()
        sleep(0.05)


def streamed(request):
    return StreamingHttpResponse(parts())


urlpatterns = [
    path("plain/<int:number>", plain),
    path("waiting", waiting),
    path("streamed", streamed),
]
"""


def block(language: str, having: str) -> str:
    """Return the document's block of code in `language` that has a text in it."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    (found,) = [text for text in blocks if having in text]
    return found


def exported(having: str) -> dict[str, str]:
    """Return the variables of the document's `export` lines, in the block that has a text in it."""
    words = [word for line in block("sh", having).splitlines() for word in shlex.split(line) if "=" in word]
    return dict(word.split("=", 1) for word in words)


def commands() -> dict[str, str]:
    """Return the document's commands by server."""
    return dict(re.findall(r"^\| ([^|]+) \| `([^`]+ [^`]+)` \|$", DOCUMENT, re.MULTILINE))


def start_project(folder: Path) -> Path:
    """Make what `startproject` makes."""
    folder.mkdir()
    startproject = [sys.executable, "-m", "django", "startproject", "mysite", str(folder)]
    subprocess.run(startproject, check=True, cwd=folder, env=_environment(folder, {}))
    return folder


def make_project(stock: Path, folder: Path, *, views: bool = True) -> Path:
    """Copy a stock project, with the document's lines in its settings; `views` of ours, or the stock ones alone."""
    shutil.copytree(stock, folder)
    settings = folder / "mysite" / "settings.py"
    added = block("python", "INSTALLED_APPS")
    settings.write_text(settings.read_text() + added)
    if views:
        (folder / "mysite" / "urls.py").write_text(VIEWS)
    return folder


def _environment(site: Path, env: Mapping[str, str]) -> dict[str, str]:
    ours = ("OTEL_", "TELEMETRY_", "DJANGO_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", **env}


@dataclass
class Server:
    """One of the document's servers, running the project."""

    project: Path
    site: Path
    command: str
    env: Mapping[str, str]
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        return self.project / f"server-{self.port}.log"

    @property
    def process(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the project's programs to its end."""
        env = _environment(self.site, self.env)
        return subprocess.run(arguments, cwd=self.project, env=env, capture_output=True, text=True, check=False)

    def start(self) -> None:
        words = shlex.split(self.command.replace("8000", str(self.port)))
        program = [sys.executable] if words[0] == "python" else [str(Path(sys.executable).with_name(words[0]))]
        env = {**_environment(self.site, self.env), "PYTHONPATH": f"{self.site}{os.pathsep}{self.project}"}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*program, *words[1:]], cwd=self.project, env=env, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._listens, 60, "the server")

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.command} ended:\n{self.log.read_text()}")
        with suppress(OSError):
            return self.get("/livez", timeout=5)[0] == 404  # a probe's path, which is not recorded
        return False

    def get(self, path: str, timeout: float = 30, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Connection": "close", **headers})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def workers(self) -> list[psutil.Process]:
        """Return the server's living processes without its first one, the youngest last."""
        others = ("telemetry.exporting", "resource_tracker")
        lines = {child: _line(child) for child in self.process.children(recursive=True)}
        # One that has ended and is not waited for yet has no line.
        return sorted((child for child, line in lines.items() if line and not any(o in line for o in others)), key=_age)

    def stop(self) -> None:
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _age(process: psutil.Process) -> float:
    try:
        return process.create_time()
    except psutil.Error:
        return 0.0


@contextmanager
def running(project: Path, site: Path, command: str, env: Mapping[str, str]) -> Iterator[Server]:
    """A server that runs one of the document's commands."""
    server = Server(project, site, command, env)
    try:
        server.start()
        yield server
    finally:
        server.stop()
