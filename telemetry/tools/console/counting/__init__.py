"""What has arrived and what the senders say of it; eviction does not change it."""
