"""`python -m training.train_liver` is `python -m training liver`."""

from .__main__ import main

if __name__ == "__main__":
    main("liver")
