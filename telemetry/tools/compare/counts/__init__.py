"""What was sent compared with what is stored."""
