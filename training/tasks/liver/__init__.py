"""Liver enhancers (course C)."""
