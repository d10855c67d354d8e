"""The media type that a client prefers, by its `Accept` (RFC 9110, section 12.5.1): one rule for answers and errors.

REST framework's own class ignores `q`. Django's `get_preferred_type` takes JSON for `application/json;q=0, */*`, which
excludes it, and nothing for `application/json; charset=utf-8`; it fails at some malformed parameters.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from operator import itemgetter

from django.http import HttpRequest
from django.http.request import MediaType
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class ContentNegotiation(DefaultContentNegotiation):
    """Chooses the renderer of the media type that the client prefers, and the parser of the one that it names."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Return the parser for the body; a body has one type, which is no range such as `application/*`."""
        return None if "*" in (request.content_type or "") else super().select_parser(request, parsers)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        del format_suffix  # no address has one
        by_type = {renderer.media_type: renderer for renderer in renderers}
        preferred = self.preferred_type(request, [*by_type])
        if preferred is None:
            raise NotAcceptable(available_renderers=[*by_type.values()])
        return by_type[preferred], preferred

    def preferred_type(self, request: HttpRequest | Request, media_types: Iterable[str]) -> str | None:
        """Return the media type with the highest quality, None if none is acceptable.

        Of several, it is the one that the client names most precisely, or else the first.
        """
        ranges = []
        for text in self.get_accept_list(request):  # type: ignore[arg-type]  # it reads the headers only
            with suppress(ValueError):  # a parameter in an unknown charset (RFC 2231)
                ranges.append(MediaType(text))
        rated = [(_rating(media_type, ranges), media_type) for media_type in media_types]
        acceptable = [(rating, media_type) for rating, media_type in rated if rating[0] > 0]
        return max(acceptable, key=itemgetter(0))[1] if acceptable else None


def _rating(media_type: str, ranges: Sequence[MediaType]) -> tuple[float, tuple[bool, bool]]:
    """Return the quality of a media type, from the most precise range that covers it, and how precise that is.

    A range with parameters covers the type, too, as no answer has variants; one without is more precise.
    """
    main, _, sub = media_type.partition("/")
    covering = [
        ((each.main_type == main, each.sub_type == sub), not each.range_params, each.quality)
        for each in ranges
        if each.main_type in {main, "*"} and each.sub_type in {sub, "*"}
    ]
    precision, _, quality = max(covering, default=((False, False), False, 0.0))
    return quality, precision
