"""Counted requests like those of the service's visitors, for the demo and running services (`manage.py traffic`)."""
