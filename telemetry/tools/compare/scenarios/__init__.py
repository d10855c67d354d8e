"""What is measured: cost, conditions, freshness, loss, scrapes, scale, profile."""
