"""The measurements: cost, conditions, freshness, loss, scrapes, scale, profile."""
