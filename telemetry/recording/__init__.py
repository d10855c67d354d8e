"""Recording in the serving processes: each finished request, log record and span becomes one record.

Encoding, aggregation, batching, connections and waiting are left to the exporter (`telemetry.exporting`).
"""
