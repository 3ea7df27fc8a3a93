"""RNA-binding affinity of 21 proteins at once (course D)."""
