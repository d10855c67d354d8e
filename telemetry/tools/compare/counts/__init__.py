"""What was sent held against what is stored."""
