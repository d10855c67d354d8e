"""Spans and log records, made from the processes' records."""
