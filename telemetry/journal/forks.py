"""What the child of a fork must not keep: its parent's locks and connections, which would last as long as the child."""

import os
import socket
from contextlib import suppress
from threading import RLock
from weakref import WeakSet

no_fork = RLock()
"""Held from the opening of what locks until `close_in_children` knows it: another thread's fork waits so long."""

_descriptors: set[int] = set()
_sockets: WeakSet[socket.socket] = WeakSet()


def close_in_children(*opened: int | socket.socket) -> None:
    """Have forked children close descriptors, until `forget`, and sockets, while these are open."""
    for each in opened:
        if isinstance(each, int):
            _descriptors.add(each)
        else:
            _sockets.add(each)


def forget(descriptor: int) -> None:
    """Leave a descriptor alone that is about to be closed here: its number may be another file's soon."""
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
