"""The files of deploy/, checked by the programs that read them.

    python -m tests.stack.check --bin FOLDER

Prometheus' promtool (3 or newer), Tempo and Loki verify their files. Alloy formats and validates its own, and is
started once for each choice of ALLOY_METRICS and ALLOY_TRACES, because `validate` does not look into the statements of
a transform. Then it gets spans and log records full of secrets, and none may come out of it. Loki gets batches as large
as Alloy makes them, and must take them.

Exit code 0 where all is well, 1 where something is not, 2 where a program is missing (`--bin`, else the PATH).
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tests.support.environment  # noqa: F401  (the console's settings need it)
from tests.stack.batches import refusals
from tests.stack.redaction import leaks
from tests.stack.servers import DEPLOY, Binaries, Server, Stack, given_binaries

METRICS = ("remote_write", "otlp")
TRACES = ("all", "tail", "balance")


class Report:
    """Prints a line for each check and remembers whether one failed."""

    failed = False

    def line(self, what: str, problem: str) -> None:
        print(f"{'FAILED' if problem else 'ok':7}{what}", flush=True)
        if problem:
            self.failed = True
            print("       " + problem.strip().replace("\n", "\n       "), flush=True)

    def command(self, what: str, command: list[str]) -> None:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        self.line(what, "" if answer.returncode == 0 else answer.stdout + answer.stderr)


def verify(report: Report, binaries: Binaries) -> None:
    """Let each program read its file."""
    promtool = [binaries["promtool"], "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")]
    report.command("prometheus.yml: promtool check config", promtool)
    tempo = [binaries["tempo"], f"-config.file={DEPLOY}/tempo/tempo.yaml", "-config.verify=true"]
    report.command("tempo.yaml: tempo -config.verify", tempo)
    loki = [binaries["loki"], f"-config.file={DEPLOY}/loki/loki.yaml", "-verify-config"]
    report.command("loki.yaml: loki -verify-config", loki)
    for file in sorted((DEPLOY / "alloy").glob("*.alloy")):
        report.command(f"{file.name}: alloy fmt", [binaries["alloy"], "fmt", "--test", str(file)])
    config = DEPLOY / "alloy" / "config.alloy"
    validate = [binaries["alloy"], "validate", "--stability.level=public-preview", str(config)]
    report.command("config.alloy: alloy validate", validate)


@contextmanager
def running(server: Server) -> Iterator[str]:
    """Run it; yields why it does not, or nothing."""
    try:
        server.start()
    except (SystemExit, TimeoutError) as error:
        yield str(error)
    else:
        yield ""
    finally:
        server.stop()


def boot(report: Report, binaries: Binaries, folder: Path, metrics: str, traces: str) -> None:
    """Start Alloy with one choice, and look for errors in what it says of its configuration."""
    stack = Stack(folder, binaries, {"ALLOY_METRICS": metrics, "ALLOY_TRACES": traces, "ALLOY_TAIL_TIER": "localhost"})
    with running(stack.alloy) as problem:
        log = (folder / "alloy.log").read_text(errors="replace")
    errors = [line for line in log.splitlines() if re.search(r"failed to (build|evaluate|load)|unmarshal", line)]
    report.line(f"alloy runs with ALLOY_METRICS={metrics} ALLOY_TRACES={traces}", problem or "\n".join(errors))


def main() -> int:
    binaries = given_binaries(__doc__, ("promtool", "tempo", "loki", "alloy"))
    report = Report()
    with tempfile.TemporaryDirectory(prefix="check-") as folder:
        verify(report, binaries)
        for metrics in METRICS:
            for traces in TRACES:
                place = Path(folder) / f"{metrics}-{traces}"
                place.mkdir()
                boot(report, binaries, place, metrics, traces)
        place = Path(folder) / "redaction"
        place.mkdir()
        report.line("alloy lets no secret through", "\n".join(leaks(place, binaries)))
        place = Path(folder) / "batches"
        place.mkdir()
        report.line("loki takes alloy's largest batches", "\n".join(refusals(place, binaries)))
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
