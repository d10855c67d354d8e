#!/usr/bin/env python
"""Django's command-line utility for administrative tasks."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    if sys.argv[1:2] == ["demo"]:
        from telemetry.demo.environment import prepare

        prepare(sys.argv[2:])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "userapi.settings")
    execute_from_command_line(sys.argv)
