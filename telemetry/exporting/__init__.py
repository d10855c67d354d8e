"""The exporter: one process for a service, which reads every journal, aggregates, redacts, encodes and delivers.

It imports neither Django nor the service.
"""
