"""The demo: console, service in both modes, traffic, and a tally of what was sent and what arrived."""
