"""What a server needs beyond nothing."""
