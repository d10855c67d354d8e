"""The log handler of a project whose own logging configuration names none of telemetry's."""

import logging

from telemetry.logs import OTLPHandler
from telemetry.routes import RouteInsteadOfPath

_route = RouteInsteadOfPath()


class RootHandler(OTLPHandler):
    """Sends by OTLP what reaches the root logger, and changes nothing of what is written elsewhere.

    Python writes warnings to standard error where no handler is found; it does not count as one.
    """

    def emit(self, record: logging.LogRecord) -> None:
        fallback = logging.lastResort
        if fallback is not None and record.levelno >= fallback.level and not _is_handled(record.name):
            fallback.handle(record)
        if hasattr(record, "request"):  # a path may hold anything, and is for the project's own eyes
            record = logging.makeLogRecord(vars(record))
            _route.filter(record)
        super().emit(record)


def attach_to_root() -> None:
    """Add the handler, unless the logging configuration has one of telemetry's."""
    names = list(logging.root.manager.loggerDict)
    if not any(isinstance(handler, OTLPHandler) for handler in logging.root.handlers) and not any(
        isinstance(handler, OTLPHandler)
        for name in names
        if name not in _own
        for handler in logging.getLogger(name).handlers
    ):
        logging.root.addHandler(RootHandler())


_own: set[str] = set()
"""Loggers that telemetry has given a handler."""


def let_pass(name: str) -> None:
    """Let INFO records of a logger that the project says nothing of leave by OTLP, and not fill its console."""
    logger = logging.getLogger(name)
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
