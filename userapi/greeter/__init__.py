"""A second service, as small as can be: `gunicorn -c python:telemetry.servers.gunicorn userapi.greeter.wsgi`."""
