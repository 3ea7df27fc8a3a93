"""Codons to residues (workshop E)."""
