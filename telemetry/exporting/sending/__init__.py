"""Delivery of batches to a backend: senders, the outcome of each item, outages."""
