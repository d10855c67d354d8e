"""What a serving process and the exporter share: rings of records in shared memory, the spool, and the snapshot.

It knows neither of them, nor OpenTelemetry, nor Django.
"""
