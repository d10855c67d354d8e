"""A second, minimal service: `gunicorn -c python:telemetry.servers.gunicorn userapi.greeter.wsgi`."""
