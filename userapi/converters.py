"""Parts of addresses."""

from django.urls.converters import UUIDConverter


class CaselessUUIDConverter(UUIDConverter):
    """A UUID in letters of either case, as RFC 9562 asks for."""

    regex = UUIDConverter.regex.replace("a-f", "a-fA-F")
