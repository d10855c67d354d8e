"""The generator of the OpenAPI document, with the modules that describe the views."""

from drf_spectacular.generators import SchemaGenerator

from userapi.accounts import schema  # noqa: F401
from userapi.greetings import documentation as greetings  # noqa: F401
from userapi.users import documentation as users  # noqa: F401

__all__ = ["SchemaGenerator"]
