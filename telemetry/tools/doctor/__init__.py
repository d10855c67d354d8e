"""Follows one request through every hop of the current mode and reports where it stops (`manage.py doctor`)."""
