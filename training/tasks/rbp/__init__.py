"""RNA-binding affinity, a network a protein (course D)."""
