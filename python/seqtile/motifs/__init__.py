"""Sequence motifs: matrices, MEME files, likeness, logos."""
