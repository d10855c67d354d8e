"""Django's settings: the project's own with Sentry's SDK, as its documentation starts it; all traces, and logs."""

import os

import sentry_sdk

from telemetry.tools.compare.upstream import project

globals().update(project.settings())

sentry_sdk.init(dsn=os.environ["COMPARE_SENTRY_DSN"], traces_sample_rate=1.0, enable_logs=True)
