"""How the service and what stands around it run."""
