"""`python -m training.train_nuclei` is `python -m training.tasks.nuclei.train`."""

from .lab import command
from .tasks.nuclei.train import main

if __name__ == "__main__":
    command.run(main)
