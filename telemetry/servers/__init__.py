"""Optional integration with application servers."""
