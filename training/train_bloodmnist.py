"""`python -m training.train_bloodmnist` is `python -m training bloodmnist`."""

from .__main__ import main

if __name__ == "__main__":
    main("bloodmnist")
