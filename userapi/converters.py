"""Path converters."""

from django.urls.converters import UUIDConverter


class CaselessUUIDConverter(UUIDConverter):
    """A UUID in upper or lower case, as RFC 9562 requires."""

    regex = UUIDConverter.regex.replace("a-f", "a-fA-F")
