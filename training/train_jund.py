"""`python -m training.train_jund` is `python -m training.tasks.jund.train`."""

from .lab import command
from .tasks.jund.train import main

if __name__ == "__main__":
    command.run(main)
