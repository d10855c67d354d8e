"""Requests as visitors of the service send them, counted: for the demo, and beside a service (`manage.py traffic`)."""
