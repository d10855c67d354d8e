"""Django's SQLite backend, with connections that can be persistent."""
