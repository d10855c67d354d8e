"""Comparison of items sent with items stored."""
