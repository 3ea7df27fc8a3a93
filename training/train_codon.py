"""`python -m training.train_codon` is `python -m training codon`."""

from .__main__ import main

if __name__ == "__main__":
    main("codon")
