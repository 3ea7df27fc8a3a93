"""`python -m training.train_mnist` is `python -m training mnist`."""

from .__main__ import main

if __name__ == "__main__":
    main("mnist")
