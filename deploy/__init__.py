"""How the service and what is around it run."""
