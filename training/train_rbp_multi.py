"""`python -m training.train_rbp_multi` is `python -m training rbp_multi`."""

from .__main__ import main

if __name__ == "__main__":
    main("rbp_multi")
