"""Real parts for the tests: processes of the service, PostgreSQL servers, ports."""
