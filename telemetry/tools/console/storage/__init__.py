"""Bounded storage: spans, log records, metric points."""
