"""User records, the domain; not the accounts for logging in, which are Django's own."""
