"""What makes the OpenAPI document: importing it loads what describes the views."""

from drf_spectacular.generators import SchemaGenerator

from userapi.accounts import schema  # noqa: F401
from userapi.greetings import documentation as greetings  # noqa: F401
from userapi.users import documentation as users  # noqa: F401

__all__ = ["SchemaGenerator"]
