"""What the processes of a test run share is made once, and a shared server lives until the last of them leaves."""

import subprocess
import sys
from pathlib import Path

from tests.support.service import ROOT

#: Appends a line for each event; holds the server until a line comes on standard input.
USER = """
import sys
from pathlib import Path
from tests.support.shared import made_once, used_together

folder = Path(sys.argv[1])

def note(event):
    with (folder / "events").open("a") as events:
        events.write(event + "\\n")
    return "a server"

with used_together(folder, "server", lambda: note("start"), lambda server: note(f"stop {server}")) as server:
    assert made_once(folder, "result", lambda: note("make")) == server == "a server"
    print("holds", flush=True)
    sys.stdin.readline()
"""


def user(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def holds(process: "subprocess.Popen[str]") -> bool:
    assert process.stdout
    return process.stdout.readline() == "holds\n"


def test_shared_server_is_started_once_and_stopped_by_the_last(tmp_path: Path) -> None:
    events = tmp_path / "events"
    with user(tmp_path) as first, user(tmp_path) as second:
        assert holds(first)
        assert holds(second)
        first.communicate("leave\n", timeout=60)
        assert events.read_text().split("\n")[:-1] == ["start", "make"]
        second.communicate("leave\n", timeout=60)
    assert events.read_text().split("\n")[:-1] == ["start", "make", "stop a server"]
    with user(tmp_path) as later:
        assert holds(later)
        later.communicate("leave\n", timeout=60)
    assert events.read_text().split("\n")[3:-1] == ["start", "stop a server"]


def test_shared_server_of_a_killed_process_is_still_stopped_by_the_last(tmp_path: Path) -> None:
    with user(tmp_path) as first, user(tmp_path) as second:
        assert holds(first)
        assert holds(second)
        first.kill()
        first.wait(60)
        second.communicate("leave\n", timeout=60)
    assert (tmp_path / "events").read_text().split("\n")[-2] == "stop a server"
