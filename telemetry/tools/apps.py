from django.apps import AppConfig


class ToolsAppConfig(AppConfig):
    """The commands audit, compare, console, demo, doctor and traffic. A production image can leave this package out."""

    name = "telemetry.tools"
    label = "telemetry_tools"
