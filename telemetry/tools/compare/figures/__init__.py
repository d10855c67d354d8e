"""What the figures mean: intervals, goals, advice, several machines."""
