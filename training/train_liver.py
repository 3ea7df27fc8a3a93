"""`python -m training.train_liver` is `python -m training.tasks.liver.train`."""

from .lab import command
from .tasks.liver.train import main

if __name__ == "__main__":
    command.run(main)
