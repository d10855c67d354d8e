"""What the service recorded compared with what the backends store, for a running system (`manage.py audit`)."""
