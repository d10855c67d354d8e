"""What happens in a process that serves requests: each finished request, log record and span becomes one record.

Nothing here encodes, aggregates, batches, connects or waits; the exporter does (`telemetry.exporting`).
"""
