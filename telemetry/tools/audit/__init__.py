"""Comparison of items recorded by the service with items stored, for a running system (`manage.py audit`)."""
