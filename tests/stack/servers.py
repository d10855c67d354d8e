"""The real Alloy, Tempo, Loki and Prometheus with the files of deploy/, on free ports and in a folder of their own.

Nothing of the files is changed but addresses and paths, and each of these must be found in its file.
"""

import argparse
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which
from typing import Self

import yaml

from tests.support.service import ROOT, free_port, wait_until

DEPLOY = ROOT / "deploy"
_STOP_SECONDS = 75
_READY_SECONDS = 90


class Binaries:
    """Where the programs are: a folder, or the PATH."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def find(self, name: str) -> str | None:
        return which(name, path=str(self._folder) if self._folder else None)

    def __getitem__(self, name: str) -> str:
        found = self.find(name)
        if found is None:
            raise SystemExit(f"{name} is not in {self._folder or 'PATH'}; --bin names a folder with it")
        return found


def given_binaries(description: str | None, names: Sequence[str]) -> Binaries:
    """Read `--bin` from the command line; exit with 2 and the names of the programs that are not there."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, help=f"a folder with {', '.join(names)} (default: the PATH)")
    binaries = Binaries(parser.parse_args().bin)
    if missing := [name for name in names if binaries.find(name) is None]:
        print(f"missing: {', '.join(missing)}; --bin names a folder with them", file=sys.stderr)
        raise SystemExit(2)
    return binaries


def derived(source: Path, target: Path, replacements: Mapping[str, str]) -> None:
    """Copy a file with other addresses and paths; raises ValueError where one of them is not in it."""
    text = source.read_text(encoding="utf-8")
    for old, new in replacements.items():
        if old not in text:
            raise ValueError(f"{source} has no {old!r}, which was to become {new!r}")
        text = text.replace(old, new)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


class Server:
    """One program, which can be stopped and started again with its data and its ports. A context manager."""

    def __init__(
        self, name: str, log: Path, command: Sequence[str], ready: str, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._log = log
        self._command = command
        self._ready = ready
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)  # its data is of no use any more, and Tempo takes half a minute to stop

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._env, cwd=self._log.parent)
        wait_until(self._answers, _READY_SECONDS, f"{self.name}'s readiness (its log: {self._log})")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            last = self._log.read_text(errors="replace").splitlines()[-5:]
            raise SystemExit(f"{self.name} ended with exit code {self._process.returncode}:\n" + "\n".join(last))
        try:
            with urllib.request.urlopen(self._ready, timeout=2) as answer:  # noqa: S310  (of this module)
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it in order, or with SIGKILL at once."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Stack:
    """The four servers, not started yet."""

    def __init__(self, folder: Path, binaries: Binaries, alloy_env: Mapping[str, str]) -> None:
        self._folder = folder
        self._binaries = binaries
        self.otlp_grpc, self.otlp_http, self.prometheus_port, self.tempo_port, self.loki_port = (
            free_port() for _ in range(5)
        )
        self.tempo_otlp = free_port()
        self.alloy_port = free_port()
        self.prometheus = self._prometheus()
        self.tempo = self._tempo()
        self.loki = self._loki()
        self.alloy = self._alloy(alloy_env)

    @property
    def backends(self) -> tuple[Server, ...]:
        return self.prometheus, self.tempo, self.loki

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run all four."""
        with ExitStack() as servers:
            for server in (*self.backends, self.alloy):
                servers.enter_context(server)
            yield

    def _server(self, name: str, command: Sequence[str], ready: str, env: Mapping[str, str] | None = None) -> Server:
        return Server(name, self._folder / f"{name}.log", [self._binaries[name], *command], ready, env)

    def _prometheus(self) -> Server:
        folder = self._folder / "prometheus"
        derived(
            DEPLOY / "prometheus" / "prometheus.yml",
            folder / "prometheus.yml",
            {"localhost:9090": f"localhost:{self.prometheus_port}", "/etc/prometheus": str(DEPLOY / "prometheus")},
        )
        compose = yaml.safe_load((DEPLOY / "compose" / "backends.yml").read_text(encoding="utf-8"))
        flags = [
            flag.replace("/etc/prometheus/", f"{folder}/").replace("=/prometheus", f"={folder}/data")
            for flag in compose["services"]["prometheus"]["command"]
        ]
        address = f"127.0.0.1:{self.prometheus_port}"
        return self._server("prometheus", [*flags, f"--web.listen-address={address}"], f"http://{address}/-/ready")

    def _tempo(self) -> Server:
        folder = self._folder / "tempo"
        derived(
            DEPLOY / "tempo" / "tempo.yaml",
            folder / "tempo.yaml",
            {
                "0.0.0.0:4317": f"127.0.0.1:{self.tempo_otlp}",
                "0.0.0.0:4318": f"127.0.0.1:{free_port()}",
                "http_listen_port: 3200": f"http_listen_port: {self.tempo_port}",
                "/var/tempo": str(folder),
                "prometheus:9090": f"127.0.0.1:{self.prometheus_port}",
            },
        )
        # What the file leaves at its defaults, which are of the container.
        elsewhere = [
            f"-server.grpc-listen-port={free_port()}",
            f"-memberlist.bind-port={free_port()}",
            f"-live-store.wal.path={folder}/live-store/traces",
            f"-live-store.shutdown_marker_dir={folder}/live-store/shutdown-marker",
            f"-backend-schedulerbackend-scheduler.local-work-path={folder}",
            f"-block-builder.wal.path={folder}/block-builder/traces",
        ]
        command = [f"-config.file={folder}/tempo.yaml", *elsewhere]
        return self._server("tempo", command, f"http://127.0.0.1:{self.tempo_port}/ready")

    def _loki(self) -> Server:
        folder = self._folder / "loki"
        derived(
            DEPLOY / "loki" / "loki.yaml",
            folder / "loki.yaml",
            {"http_listen_port: 3100": f"http_listen_port: {self.loki_port}", " /loki": f" {folder}"},
        )
        command = [f"-config.file={folder}/loki.yaml", f"-server.grpc-listen-port={free_port()}"]
        return self._server("loki", command, f"http://127.0.0.1:{self.loki_port}/ready")

    def _alloy(self, env: Mapping[str, str]) -> Server:
        folder = self._folder / "alloy"
        replacements = {
            '":4317"': f'"127.0.0.1:{self.otlp_grpc}"',
            '":4318"': f'"127.0.0.1:{self.otlp_http}"',
            "/var/lib/alloy/data": f"{folder}/data",
        }
        for source in sorted((DEPLOY / "alloy").glob("*.alloy")):
            derived(source, folder / source.name, replacements if source.name == "config.alloy" else {})
        address = f"127.0.0.1:{self.alloy_port}"
        command = [
            "run",
            "--stability.level=public-preview",
            f"--storage.path={folder}/data",
            f"--server.http.listen-addr={address}",
            "--disable-reporting",
            f"{folder}/config.alloy",
        ]
        backends = {
            "PROMETHEUS_URL": f"http://127.0.0.1:{self.prometheus_port}",
            "TEMPO_OTLP_GRPC": f"127.0.0.1:{self.tempo_otlp}",
            "LOKI_OTLP_URL": f"http://127.0.0.1:{self.loki_port}/otlp",
        }
        return self._server("alloy", command, f"http://{address}/-/ready", {**backends, **env})
