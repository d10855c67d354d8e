"""What ends a service's processes together, and not its exporter, which ends when the run is over."""

import signal

IGNORED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Blocked by the exporter's starter, which a new process inherits, until the exporter ignores them."""
