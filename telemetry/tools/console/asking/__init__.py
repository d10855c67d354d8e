"""The queries of pages and API to the store."""
