"""Protein binding sites in DNA (course A)."""
