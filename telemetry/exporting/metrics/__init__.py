"""Metrics: aggregated for the whole service, and sent by OTLP."""
