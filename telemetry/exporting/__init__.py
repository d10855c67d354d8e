"""The exporter: one process per service that reads all journals, and aggregates, redacts, encodes and delivers.

It imports neither Django nor the service.
"""
