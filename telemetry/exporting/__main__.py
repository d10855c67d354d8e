"""`python -m telemetry.exporting DIRECTORY`: the exporter of the run in that directory, detached from its parent.

Started by a serving process that found the exporter's lock free; with `succeed`, it waits for a holder that is about to
end. It ends by itself when the run is over: signals to the service's whole process group, such as Ctrl-C, do not end it
before it has delivered.
"""

import os
import sys

if __name__ == "__main__":
    # Before any import: the parent waits for this process, not for the exporter.
    if os.fork():
        os._exit(0)

    import signal
    from pathlib import Path

    from telemetry.journal import directory
    from telemetry.journal.asking import succeeded
    from telemetry.journal.locks import try_own
    from telemetry.journal.signals import IGNORED

    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED)
    path = Path(sys.argv[1])
    try:
        exporters = directory.lock_of_exporter(path)
        lock = succeeded(path) if "succeed" in sys.argv else try_own(exporters)
    except FileNotFoundError:
        sys.exit()
    if lock is None:
        sys.exit()

    from telemetry.exporting.service import export, yield_to_the_service

    if "again" not in sys.argv:  # else this process has done so
        yield_to_the_service()
    if export(path, lock):
        os.execv(sys.executable, [sys.executable, "-m", "telemetry.exporting", str(path), "again"])  # noqa: S606
