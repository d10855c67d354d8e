"""Dashboards and alerts, held against what the service and the components of the pipeline really emit."""
