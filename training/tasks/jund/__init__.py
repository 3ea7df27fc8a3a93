"""JUND binding from letters alone (course B)."""
