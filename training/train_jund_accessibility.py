"""`python -m training.train_jund_accessibility` is `python -m training jund_accessibility`."""

from .__main__ import main

if __name__ == "__main__":
    main("jund_accessibility")
