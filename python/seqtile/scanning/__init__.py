"""Scores along genomes, and the tracks they are written to."""
