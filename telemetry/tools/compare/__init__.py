"""Load and faults against each mode. A guest: nothing imports it but commands and tests."""
