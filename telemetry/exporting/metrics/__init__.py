"""Metrics, aggregated for the whole service, and their export request."""
