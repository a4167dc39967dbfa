"""Figures of results, a file a kind."""
