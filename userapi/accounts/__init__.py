"""Accounts that log in: Django's own users, with sessions and tokens."""
