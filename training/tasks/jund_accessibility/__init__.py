"""JUND binding from letters and accessibility (course B)."""
