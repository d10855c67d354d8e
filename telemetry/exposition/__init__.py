"""The answer to a scrape: the metrics of the service in the format that was asked for."""

from telemetry.exposition.rendering import Exposition

__all__ = ["Exposition"]
