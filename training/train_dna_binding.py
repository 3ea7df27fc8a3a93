"""`python -m training.train_dna_binding` is `python -m training dna_binding`."""

from .__main__ import main

if __name__ == "__main__":
    main("dna_binding")
