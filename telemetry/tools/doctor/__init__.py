"""Follows one request through every hop of the current mode and says where it stops (`manage.py doctor`)."""
