"""`python -m training.train_nuclei` is `python -m training nuclei`."""

from .__main__ import main

if __name__ == "__main__":
    main("nuclei")
