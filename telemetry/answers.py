"""The end of a response: a streamed response ends with its body, not when its view returns."""

import os
from asyncio import CancelledError
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import copy_context
from functools import partial
from time import perf_counter_ns
from typing import Any

from django.core.signals import request_finished
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

Over = Callable[[BaseException | None, int], None]
Within = Callable[[], AbstractContextManager[Any]]

_abandoned: deque[Callable[[], None]] = deque()
"""Reports of bodies that nothing closes: another middleware has answered instead.

Such a body ends within any code, which may hold locks, so its end is reported when the next answer is finished.
"""
if hasattr(os, "register_at_fork"):  # not on Windows, where this module is imported, too
    os.register_at_fork(after_in_child=_abandoned.clear)


def is_streamed(response: HttpResponseBase) -> bool:
    """Return whether the body of `response` is produced while it is sent."""
    return bool(getattr(response, "streaming", False))


def when_over(response: HttpResponseBase, over: Over, within: Within) -> None:
    """Call `over` once, when the body of a streamed response has been sent or abandoned.

    Its arguments are the error that ended the body, or None, and the time of the end by `perf_counter_ns`; it must not
    raise. Each chunk of the body is produced within `within()`. A file that the server sends itself
    (`wsgi.file_wrapper`) is left as it is. If this raises, `over` is never called.
    """
    body = _Body(response)
    if isinstance(response, StreamingHttpResponse) and getattr(response, "file_to_stream", None) is None:
        content: Any = response.streaming_content
        kind = _AsyncParts if response.is_async else _Parts
        response.streaming_content = kind(content, body)
    response.close = body.close  # type: ignore[method-assign]  # the server calls it in any case
    body.expect(over, within)


def _report_abandoned(**_: object) -> None:
    while _abandoned:
        with suppress(IndexError):  # another thread has taken the last one
            _abandoned.popleft()()


request_finished.connect(_report_abandoned, dispatch_uid=__name__)


class _Body:
    """The body of one response."""

    within: Within = nullcontext
    _over: Over | None = None

    def __init__(self, response: HttpResponseBase) -> None:
        self._close: Callable[[], object] = response.close

    def expect(self, over: Over, within: Within) -> None:
        """Report the end to `over`."""
        self._if_abandoned = partial(copy_context().run, over, None, perf_counter_ns())
        self._over, self.within = over, within

    def end(self, error: BaseException | None = None) -> None:
        """Report the end, once."""
        over, self._over = self._over, None
        if over is not None:
            del self._if_abandoned
            over(error, perf_counter_ns())

    def __del__(self) -> None:
        """Leave the report of a body that nothing closes, which ended when it began, to ordinary code."""
        if self._over is not None:
            _abandoned.append(self._if_abandoned)

    def close(self) -> None:
        """Close the response within its context, once, then report the end."""
        close, self._close = self._close, lambda: None  # breaks a reference cycle with the response
        try:
            with self.within():
                close()
        finally:
            self.end()
            self.within = nullcontext


class _Parts:
    """The chunks of a body, produced one by one in a thread."""

    def __init__(self, content: Any, body: _Body) -> None:
        self._content = iter(content)
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            with self._body.within():
                part: bytes = next(self._content)
        except StopIteration:
            self._body.end()
            raise
        except BaseException as error:
            self._body.end(error)
            raise
        return part


class _AsyncParts:
    """The chunks of a body, produced one by one in a task."""

    def __init__(self, content: Any, body: _Body) -> None:
        self._content = aiter(content)
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            with self._body.within():
                part: bytes = await anext(self._content)
        except (StopAsyncIteration, CancelledError, GeneratorExit):  # complete, or its client has left
            self._body.end()
            raise
        except BaseException as error:
            self._body.end(error)
            raise
        return part
