"""Handwritten digits (workshop E)."""
