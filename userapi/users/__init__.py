"""User records: the domain. Not the accounts that log in, which are Django's own."""
