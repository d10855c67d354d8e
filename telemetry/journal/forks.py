"""Closes the parent's locks and connections in forked children, which would otherwise keep them open."""

import os
import socket
from contextlib import suppress
from threading import RLock
from weakref import WeakSet

no_fork = RLock()
"""Held from opening a lock file until `close_in_children` has registered it: forks in other threads wait meanwhile."""

_descriptors: set[int] = set()
_sockets: WeakSet[socket.socket] = WeakSet()


def close_in_children(*opened: int | socket.socket) -> None:
    """Close these in forked children: descriptors until `forget`, sockets while they are open."""
    for each in opened:
        if isinstance(each, int):
            _descriptors.add(each)
        else:
            _sockets.add(each)


def forget(descriptor: int) -> None:
    """Stop tracking a descriptor that is about to be closed here: its number may soon refer to another file."""
    _descriptors.discard(descriptor)


def _close() -> None:
    no_fork.release()
    for descriptor in _descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()
    for each in list(_sockets):
        with suppress(OSError):
            os.close(each.detach())  # no shutdown: the connection is the parent's
    _sockets.clear()


os.register_at_fork(before=no_fork.acquire, after_in_parent=no_fork.release, after_in_child=_close)
