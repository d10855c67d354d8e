"""gunicorn's configuration: `python -m gunicorn -c deploy/gunicorn.conf.py userapi.wsgi`.

Each of gunicorn's own options on the command line wins over the value given here.
"""

import atexit
import gc
import os
from typing import Any

from telemetry.servers.gunicorn import on_exit, on_starting, post_fork, post_worker_init

bind = os.environ.get("USERAPI_BIND") or "127.0.0.1:8080"
workers = 2
worker_class = "userapi.server.PatientThreadWorker"  # for `sync`, give `--threads 1` as well
threads = 4
timeout = 30
graceful_timeout = 30
# The heartbeat must not wait for a disk. gunicorn's own default is the temporary directory.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None  # noqa: S108
accesslog = None  # each request leaves its own record, inside its trace
control_socket_disable = True

# gunicorn would believe these headers of every client on the loopback address or a Unix socket. The settings alone
# decide (DJANGO_BEHIND_PROXY); a path prefix is set by the environment variable SCRIPT_NAME.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}

# Master and workers end without searching all of their memory for garbage first: a third of the CPU time.
atexit.register(gc.freeze)
# Nor is there any in what is imported before the fork (`--preload`): an eighth of the start's CPU time.
gc.disable()


def pre_fork(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Pass the number of threads to the settings. (With `--preload` they have been read by then.)"""
    os.environ["USERAPI_THREADS"] = str(server.cfg.threads)
    if not gc.isenabled():
        gc.freeze()  # workers do not search, and so copy, the memory that they share with the master
        gc.enable()
