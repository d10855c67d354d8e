"""The signals that end a service's processes but not its exporter, which ends when the run is over."""

import signal

IGNORED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Blocked by the process that starts the exporter, which inherits the mask, until the exporter ignores them."""
