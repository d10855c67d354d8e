"""Sets up recording in a serving process: providers, Django's hooks, a slot in the run's directory, and an exporter.

A process joins the run of its server: all processes with the same parent, command line and service, and, without a
server, the same settings. Children that a process without requests forks join its own. While a process records, it
checks the exporter's lock at most once a second, and starts an exporter if the lock is free.
"""

import atexit
import logging
import os
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import RLock, Thread
from time import perf_counter_ns
from typing import Any

from opentelemetry import metrics, propagate, trace
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from telemetry.config import TelemetryConfig
from telemetry.config.fingerprint import environment_of
from telemetry.journal import directory
from telemetry.journal.asking import NoAnswerError, ask
from telemetry.journal.directory import RunDirectory
from telemetry.journal.locks import is_held
from telemetry.journal.runs import run_of
from telemetry.journal.starting import OURS, Output, output_of_command, start_exporter
from telemetry.logs import OTLPHandler, ReadableFormatter
from telemetry.project import Project
from telemetry.recording.announcement import announce
from telemetry.recording.ending import is_first_process, wait_at_the_end
from telemetry.recording.ids import RandomIds
from telemetry.recording.incoming import BoundedBaggagePropagator
from telemetry.recording.journal import journal
from telemetry.recording.logs import LogRecorder
from telemetry.recording.meters import RecordingMeterProvider
from telemetry.recording.runtime import observe_runtime
from telemetry.recording.sampling import build_sampler
from telemetry.recording.spans import SpanRecorder, keep_within, span_limits
from telemetry.root_handler import attach_to_root, stay_attached
from telemetry.status import PROJECT

logger = logging.getLogger(__name__)

_PROPAGATORS: dict[str, Any] = {"tracecontext": TraceContextTextMapPropagator, "baggage": BoundedBaggagePropagator}
_LOOK_AFTER_NS = 1_000_000_000


class Recording:
    """The recording of one process, as `config` and `project` specify."""

    def __init__(self, config: TelemetryConfig, project: Project) -> None:
        self.slot = 0
        self._config = config
        self._project = project
        self._patched = False
        self._place = self._address = ""
        self._run = "", "", ""  # the service's name, its place and the run's name
        self._service: dict[str, Any] = {}
        self._is_command = False
        self._serves = False
        self._started = 0  # the process id at the last start, which differs in a forked child
        self._meters: RecordingMeterProvider | None = None
        self._exporter: subprocess.Popen[bytes] | None = None
        self._next_look = self._next_observation = self._next_join = 0
        self._interval = int(config.metric_export_interval * 1e9)
        self._observation_is_late = perf_counter_ns() + self._interval
        # Reentrant: what they log may end a span, of a handler that sends records over HTTP, in the same thread.
        self._lock, self._starting = RLock(), RLock()
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self._lock, self._starting = RLock(), RLock()
        self._exporter = None
        self._next_look = self._next_observation = self._next_join = 0
        self._observation_is_late = perf_counter_ns() + self._interval
        # As in a worker of a task queue that forks for each task: they join its run. Those of a view take no part.
        journal.join = self.join if self._meters is not None and not self._serves else None

    def patch(self) -> None:
        """Install the recorders in Django while its application is built.

        Creates neither threads nor connections, so it may run before a fork.
        """
        if self._patched:
            return
        self._patched = True
        from telemetry.recording.django import install

        install(self._config, self._project, self)

    def start(self, place: str = "", address: str = "") -> None:
        """Record from now on; never raises. `place` is the server's configured address, `address` its actual one."""
        with self._starting:
            if self._started == os.getpid():
                return
            self._started = os.getpid()
            self._place, self._address = place, address
            self._serves = self._serves or bool(place)
            try:
                if self._serves or not self._service:  # else it is a forked child, in its parent's run
                    self._run = self._config.named, self._place or _command(), self._name_of_run()
                    self._service = self.describe()
                    self._is_command = not (_has_server() or is_first_process())
                if self._meters is None:
                    self._set_providers()
                journal.after_write, journal.join = self.after_record, self.join
                self.join()
                wait_at_the_end(self.look_after, self._config.flush_timeout)
                atexit.register(self._observe_at_the_end, os.getpid())  # which is called before that
            except Exception:
                # A server would take an error in one process for one in all, and halt.
                logger.exception("telemetry did not start; this process serves without it")
            announce(self._config, self._project, self.slot)

    def begin(self) -> None:
        """Begin to record in a serving process, unless it already does; never raises."""
        self._serves = True
        self.start()
        if journal.ring is None:
            self.join()

    def _set_providers(self) -> None:
        config = self._config
        self._meters = RecordingMeterProvider()
        metrics.set_meter_provider(self._meters)
        limits = span_limits(config.limits)
        keep_within(limits)
        tracer_provider = TracerProvider(
            sampler=build_sampler(config), id_generator=RandomIds(), shutdown_on_exit=False, span_limits=limits
        )
        tracer_provider.add_span_processor(SpanRecorder(self))
        trace.set_tracer_provider(tracer_provider)
        set_propagators(config.propagators)
        if config.instrumentation == "contrib" and config.incoming_context == "ignore":
            from telemetry.recording.contrib import OutgoingOnly

            propagate.set_global_textmap(OutgoingOnly(propagate.get_global_textmap()))
        if config.logs.exporter == "otlp":
            OTLPHandler.connect(LogRecorder())
            attach_to_root()
            stay_attached()
        observe_runtime(self._meters)

    def join(self) -> None:
        """Take a slot, unless this process has one, and make sure that an exporter runs; never raises.

        After a failure, tries again after a second at the earliest.
        """
        with self._lock:
            now = perf_counter_ns()
            if journal.ring is not None or now < self._next_join:
                return
            self._next_join = now + _LOOK_AFTER_NS
            changed = False
            try:
                self.slot, changed = self._open()
            except OSError as error:
                journal.failed("join", error)
        self.look_after(succeed=changed)

    def _open(self) -> tuple[int, bool]:
        """Return the slot, and whether the service has changed, so that its exporter ends and needs a successor."""
        problem: OSError | None = None
        for base in directory.bases(*self._run):
            try:
                run = RunDirectory.join(base, *self._run, disk=self._config.spool_dir)
                try:
                    changed = run.describe(self._service)
                    return journal.open(run, self._config.journal_bytes), changed
                except BaseException:
                    run.leave()
                    raise
            except OSError as error:
                problem = error
        raise problem or OSError("there is no directory for the journal")

    def _name_of_run(self) -> str:
        """Return a name shared only by processes that one exporter can serve.

        A server's workers change their settings together, when it reloads. Processes that a shell or a supervisor
        starts may have different settings and backends at the same time.
        """
        one_after_another = self._place or _has_server() or "gunicorn.arbiter" in sys.modules
        if one_after_another:
            return _run()
        settings = {**os.environ, "OTEL_SERVICE_NAME": self._config.service_name}  # which may be named elsewhere
        return f"{_run()}-{environment_of(settings)}"

    def describe(self) -> dict[str, Any]:
        """Return the service's description for the exporter."""
        lists = {name: sorted(names) for name, names in self._project.metric_attributes.items()}
        return {
            "project": PROJECT,
            "service": self._config.service_name,
            "mode": self._config.mode,
            "version": self._config.version_of(self._project.service_version),
            "address": self._address,
            "place": self._place or _command(),
            "metric_attributes": lists,
            "run": _run(),
            "has_server": _has_server(),
            "environment": environment_of(os.environ),
            "readable": any(isinstance(each.formatter, ReadableFormatter) for each in logging.getLogger().handlers),
        }

    def after_record(self) -> None:
        """Check exporter and instruments, if that is due: a process may write records without serving requests."""
        now = perf_counter_ns()
        if now >= self._next_look:
            self.look_after()
            if now >= self._observation_is_late and not self._serves and self._meters is not None:
                self._observation_is_late = now + self._interval
                # What writes a record may hold a lock that a callback needs.
                with suppress(RuntimeError):  # at the interpreter's end
                    Thread(target=self._meters.observe, name="telemetry-observe", daemon=True).start()

    def after_answer(self, **_: object) -> None:
        """Check the exporter and observe instruments, if due, after a response, when no client waits.

        Probes count, too: they may be the only requests, while earlier records wait for an exporter.
        """
        now = perf_counter_ns()
        if now >= self._next_look:
            self.look_after()
        if now >= self._next_observation:
            self.observe()

    def after_task(self) -> None:
        """Collect from the observable instruments, if that is due, in a process that serves no requests."""
        if not self._serves:
            self.observe()

    def observe(self) -> None:
        """Collect from the observable instruments, if that is due."""
        now = perf_counter_ns()
        if now < self._next_observation or self._meters is None:
            return
        self._next_observation = now + self._interval // 2
        self._observation_is_late = now + self._interval
        self._meters.observe()

    def _observe_at_the_end(self, process: int) -> None:
        """Collect from the observable instruments, once, at the end of a process that serves no requests."""
        atexit.unregister(self._observe_at_the_end)
        if os.getpid() == process and not self._serves and self._meters is not None:
            self._meters.observe()

    def scrape(self, accept: str, timeout: float) -> tuple[bytes, str]:
        """Return the answer to a scrape and its content type. Raises NoAnswerError after `timeout` seconds."""
        self.begin()  # it may be the first request of this process
        self.observe()
        self.look_after()
        if journal.directory is None:
            raise NoAnswerError("this process has no place to record; its log has the reason")
        header, body = ask(journal.directory.path, {"ask": "metrics", "accept": accept}, timeout)
        if not header["ok"]:
            raise NoAnswerError("the exporter has none; its log has the reason")
        return body, header["type"]

    def look_after(self, *, succeed: bool = False) -> None:
        """Join again if the files were removed, and start an exporter if none runs; never raises.

        With `succeed`, one that ends still runs: its successor is started now and waits for it, as this process may
        serve no other request.
        """
        self._next_look = perf_counter_ns() + _LOOK_AFTER_NS
        try:
            if journal.is_gone:
                logger.warning("the telemetry's files were removed; this process begins new ones")
                journal.close()
                self._next_join = 0
                self.join()
            elif journal.directory is not None:
                self._start_exporter(journal.directory.path, succeed=succeed)
        except Exception as error:  # noqa: BLE001  (it is called within requests)
            journal.failed("exporter's start", error)

    def _start_exporter(self, path: Path, *, succeed: bool) -> None:
        status = 0 if self._exporter is None else self._exporter.poll()
        if status is None:
            return  # it is just detaching
        self._exporter = None
        if not succeed and is_held(directory.lock_of_exporter(path)):
            return
        try:
            if status > 0:  # the command cannot run here, as in an embedded Python
                raise ChildProcessError(f"the exporter's command ended with status {status}")
            if self._config.exporter != "thread":
                self._exporter = start_exporter(path, succeed=succeed, output=self._output())
                return
        except OSError as error:  # no second process can be started here
            journal.failed("exporter's start", error)
        from telemetry.exporting.thread import start

        start(path, succeed=succeed, at_the_end=partial(self._observe_at_the_end, os.getpid()))

    def _output(self) -> Output:
        """Return the exporter's output: this process's, unless it is a command, whose caller may wait for its end."""
        if self._serves or not self._is_command:
            return OURS
        signals = self._config.traces, self._config.metrics, self._config.logs
        return output_of_command(prints=any(each.exporter == "console" for each in signals))


def set_propagators(names: tuple[str, ...]) -> None:
    """Extract and inject only the headers of the OTEL_PROPAGATORS in `names`."""
    propagators: list[TextMapPropagator] = [_PROPAGATORS[name]() for name in names]
    propagate.set_global_textmap(CompositePropagator(propagators))


def _command() -> str:
    try:
        folder = str(Path.cwd())
    except FileNotFoundError:  # removed, with an old release
        folder = ""
    return "\0".join([folder, *sys.argv])


def _has_server() -> bool:
    """Return whether the parent is a server that starts its workers by `multiprocessing`, as uvicorn and granian do."""
    multiprocessing = sys.modules.get("multiprocessing")  # which such a worker has imported
    return multiprocessing is not None and multiprocessing.parent_process() is not None


def _run() -> str:
    """Return the name of the run: that of the parent process, which one server's processes share."""
    return run_of(os.getppid())
