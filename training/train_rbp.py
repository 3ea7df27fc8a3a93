"""`python -m training.train_rbp` is `python -m training.tasks.rbp.train`."""

from .lab import command
from .tasks.rbp.train import main

if __name__ == "__main__":
    command.run(main)
