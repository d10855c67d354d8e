"""The log handler for a project whose logging configuration lists none of telemetry's."""

import logging
import logging.config
from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import Any

from telemetry.logs import OTLPHandler
from telemetry.routes import RouteInsteadOfPath

_route = RouteInsteadOfPath()


class RootHandler(OTLPHandler):
    """Sends the root logger's records over OTLP, without changing other output.

    Python writes records from WARNING on to standard error if no handler is found; this one does not count.
    """

    def emit(self, record: logging.LogRecord) -> None:
        fallback = logging.lastResort
        if fallback is not None and record.levelno >= fallback.level and not _is_handled(record.name):
            fallback.handle(record)
        try:
            if hasattr(record, "request"):  # a path may contain anything, and only the project's own output shows it
                record = copy(record)
                _route.filter(record)
        except Exception:  # noqa: BLE001  (logging's own contract: a handler never raises)
            self.handleError(record)
            return
        super().emit(record)


def attach_to_root() -> None:
    """Add the handler, unless the logging configuration contains one of telemetry's; and let pass what should."""
    for name in list(_passing):
        if not any(isinstance(each, OTLPHandler) for each in logging.getLogger(name).handlers):
            _own.discard(name)  # reset with its parent
        let_pass(name)
    names = [name for name in logging.root.manager.loggerDict if name not in _own]
    handlers = [*logging.root.handlers, *(handler for name in names for handler in logging.getLogger(name).handlers)]
    if not any(map(_passes_to_ours, handlers)):
        logging.root.addHandler(RootHandler())


def _passes_to_ours(handler: logging.Handler) -> bool:
    """Return whether `handler` is one of telemetry's, or passes its records to one, as a queue or a buffer does."""
    listener, target = getattr(handler, "listener", None), getattr(handler, "target", None)
    behind = [*getattr(listener, "handlers", ()), *([] if target is None else [target])]
    return isinstance(handler, OTLPHandler) or any(map(_passes_to_ours, behind))


def _detach_from_root() -> None:
    for handler in [each for each in logging.root.handlers if isinstance(each, RootHandler)]:
        logging.root.removeHandler(handler)


def stay_attached() -> None:
    """Keep the handler where the project configures logging later, as in a module that its first request imports.

    `basicConfig` does nothing if the root logger has a handler, and the others remove it. The configurator of
    OpenTelemetry's SDK wraps the same functions for the same reason.
    """
    for module, name in ((logging, "basicConfig"), (logging.config, "dictConfig"), (logging.config, "fileConfig")):
        configure = getattr(module, name)
        if not hasattr(configure, _WRAPPED):
            setattr(module, name, _attaching(configure))


def _attaching(configure: Callable[..., None]) -> Callable[..., None]:
    @wraps(configure)
    def configured(*args: Any, **options: Any) -> None:
        if configure.__name__ == "basicConfig":
            _detach_from_root()
        try:
            configure(*args, **options)
        finally:
            _detach_from_root()  # the new configuration may contain one of telemetry's
            attach_to_root()

    setattr(configured, _WRAPPED, True)
    return configured


_WRAPPED = "attaches_telemetry"
_passing: set[str] = set()
"""Loggers whose INFO records are sent, whatever the project configures later."""
_own: set[str] = set()
"""Those of them to which telemetry has added a handler."""


def let_pass(name: str) -> None:
    """Send INFO records of a logger that the project does not configure over OTLP only, not to its console."""
    _passing.add(name)
    logger = logging.getLogger(name)
    logger.disabled = False  # as a configuration does with loggers that it does not name
    if not logger.isEnabledFor(logging.INFO) and logger.level == logging.NOTSET and not logger.handlers:
        _own.add(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(OTLPHandler())


def _is_handled(name: str) -> bool:
    """Return whether a logger's records reach another handler."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(not isinstance(handler, OTLPHandler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
