"""What is compared: a project, the set-ups that it runs in, and what surrounds a running one."""
