"""The access record: one INFO log record for each request, within its trace; never a path, query string or name."""

import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import nullcontext
from time import perf_counter
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from telemetry.answers import is_streamed, when_over
from telemetry.log_failures import report
from telemetry.logs import configured_loggers
from telemetry.root_handler import let_pass
from telemetry.routes import UNMATCHED, known_method, matched_route

GetResponse = Callable[[HttpRequest], Any]


class AccessLogMiddleware:
    """Writes the record to `logger`: method, route, status, duration in seconds."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse, logger: str, untraced: Collection[str]) -> None:
        self._get_response = get_response
        self._logger = logging.getLogger(logger)
        self._untraced = untraced
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        let_pass(logger)
        configured_loggers.add(logger)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._respond(request)
        start = perf_counter()
        response: HttpResponseBase = self._get_response(request)
        self._answered(request, response, start)
        return response

    async def _respond(self, request: HttpRequest) -> HttpResponseBase:
        start = perf_counter()
        try:
            response = await cast("Awaitable[HttpResponseBase]", self._get_response(request))
        except Exception:
            raise
        except BaseException as error:  # the client disconnected
            if request.path_info not in self._untraced:
                self._record(request, None, perf_counter() - start, error)
            raise
        self._answered(request, response, start)
        return response

    def _answered(self, request: HttpRequest, response: HttpResponseBase, start: float) -> None:
        if request.path_info in self._untraced:
            return
        status = response.status_code
        try:
            if is_streamed(response):
                when_over(
                    response, lambda error, end: self._record(request, status, end / 1e9 - start, error), nullcontext
                )
                return
        except Exception:  # noqa: BLE001  (a response of any class)
            report()
        self._record(request, status, perf_counter() - start)

    def _record(
        self, request: HttpRequest, status: int | None, duration: float, error: BaseException | None = None
    ) -> None:
        """Write the record; `status` is None for a request cancelled before its response. Never raises."""
        try:
            method = known_method(request)
            route = matched_route(request) or UNMATCHED
            extra: dict[str, Any] = {"http.request.method": method, "http.route": route}
            if status is not None:
                extra["http.response.status_code"] = status
            extra["http.server.request.duration"] = duration
            if error is not None:
                extra["error.type"] = type(error).__qualname__
            if status is None:
                self._logger.info("%s %s cancelled", method, route, extra=extra)
            else:
                self._logger.info("%s %s %d", method, route, status, extra=extra)
        except Exception:  # noqa: BLE001  (the response goes out as if there were no access record)
            report()
