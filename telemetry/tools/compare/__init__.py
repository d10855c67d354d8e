"""Load and faults against each mode. Only commands and tests import it."""
