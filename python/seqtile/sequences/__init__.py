"""Letters as arrays: one-hot, codes, k-mers, translation."""
