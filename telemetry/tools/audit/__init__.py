"""What the service recorded held against what the backends store, for a running system (`manage.py audit`)."""
