"""The answer to a scrape: the metrics of the service in the requested format."""

from telemetry.exposition.rendering import Exposition

__all__ = ["Exposition"]
