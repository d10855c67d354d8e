"""The embedded telemetry receiver: OTLP and Prometheus scrapes in, a bounded store, web pages and a JSON API.

`telemetry.tools.console.server.Console` runs it inside a process (tests, the demo); `manage.py console` runs it alone.
"""
