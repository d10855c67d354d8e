"""Grafana: provisioning, dashboards, and the source that the dashboards are written from."""
