"""The embedded telemetry receiver: OTLP and Prometheus scrapes in, a bounded store, a JSON API out.

`telemetry.console.server.Console` runs it inside a process (tests, the demo); `manage.py console` runs it alone.
"""
