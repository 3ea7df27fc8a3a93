"""`python -m training.train_jund` is `python -m training jund`."""

from .__main__ import main

if __name__ == "__main__":
    main("jund")
