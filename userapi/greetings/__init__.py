"""Greetings: a trace goes on in another service that is called, and in a worker that takes a task from the database."""
