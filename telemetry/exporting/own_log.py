"""The exporter's own log: printed in the service's format, and exported with the service's log records."""

import logging
import sys
from collections import deque
from typing import Any, Self

from telemetry.config import TelemetryConfig
from telemetry.journal.records import LOG
from telemetry.logs import (
    JsonFormatter,
    ReadableFormatter,
    attributes_of,
    guard_failures,
    level_of,
    message_of,
    translation_of,
)
from telemetry.privacy import redactor


class OwnLog(logging.Handler):
    """Queues each record for the loop, which translates it like those of the service."""

    def __init__(self, records: "deque[tuple[Any, ...]]") -> None:
        super().__init__()
        self._records = records

    @classmethod
    def install(cls, records: "deque[tuple[Any, ...]]", config: TelemetryConfig, *, readable: bool) -> Self:
        """Log in the service's format, and append log records to `records` if logs are exported."""
        guard_failures()
        lines = logging.StreamHandler(sys.stdout)
        lines.setFormatter(ReadableFormatter() if readable else JsonFormatter())
        root = logging.getLogger()
        root.handlers = [lines]
        root.setLevel(logging.INFO)
        for name in ("opentelemetry", "telemetry"):
            logging.getLogger(name).setLevel(config.log_level.upper())
        handler = cls(records)
        if config.logs.exporter == "otlp":
            root.addHandler(handler)
        return handler

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.INFO:  # logging an export must not cause the next one
            return
        name, template = translation_of(record)[2:] if redactor().strict else (record.name, None)
        named = name, int(record.created * 1e9), record.levelno, level_of(record)
        self._records.append((LOG, *named, message_of(record), template, attributes_of(record), ()))
