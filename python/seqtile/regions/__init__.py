"""Intervals of sequences, and the files that list them."""
