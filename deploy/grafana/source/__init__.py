"""The dashboards as they are written by hand; `make dashboards` makes Grafana's JSON of them."""
