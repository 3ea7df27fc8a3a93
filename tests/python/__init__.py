"""Tests of the package ``seqtile``."""
