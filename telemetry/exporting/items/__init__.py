"""Spans and log records, made of what the processes have recorded."""
