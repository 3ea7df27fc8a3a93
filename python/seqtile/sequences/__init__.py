"""The data layer of sequences: letters, files, k-mers, motifs."""
