"""Accounts for logging in: Django's own users, with sessions and tokens."""
