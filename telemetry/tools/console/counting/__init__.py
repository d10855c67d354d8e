"""Counts of arrived items and the senders' own counts; eviction does not change them."""
