"""Nuclei in fluorescence images (course A)."""
