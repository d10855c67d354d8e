"""The dashboards as they are written by hand; `make dashboards` makes Grafana's JSON of them."""

from deploy.grafana.source import compare, explore, pipeline, service

DASHBOARDS = (service.DASHBOARD, compare.DASHBOARD, pipeline.DASHBOARD, explore.DASHBOARD)
