"""The service: user records behind a REST API."""

__version__ = "0.1.0"
