"""Blood cells of eight kinds (course D)."""
