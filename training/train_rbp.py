"""`python -m training.train_rbp` is `python -m training rbp`."""

from .__main__ import main

if __name__ == "__main__":
    main("rbp")
