"""`python -m training.train_rbp_multi` is `python -m training.tasks.rbp_multi.train`."""

from .lab import command
from .tasks.rbp_multi.train import main

if __name__ == "__main__":
    command.run(main)
