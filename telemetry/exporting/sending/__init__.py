"""Batches on their way to a backend: senders, what became of each item, outages."""
