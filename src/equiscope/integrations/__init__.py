"""Measuring inside training loops, other libraries' metrics and loggers."""
