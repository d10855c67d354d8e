"""Greetings: an example of traces that continue in a called service, and in a worker with a task queue."""
