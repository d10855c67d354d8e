"""Interpretation of the figures: intervals, goals, advice, several machines."""
