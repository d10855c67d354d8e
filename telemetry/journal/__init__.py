"""State shared by serving processes and the exporter: rings of records in shared memory, the spool, and the snapshot.

Depends on neither of them, nor on OpenTelemetry or Django.
"""
