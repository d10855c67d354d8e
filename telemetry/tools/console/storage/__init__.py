"""What is kept, within bounds: spans, log records, metric points."""
