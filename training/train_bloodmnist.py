"""`python -m training.train_bloodmnist` is `python -m training.tasks.bloodmnist.train`."""

from .lab import command
from .tasks.bloodmnist.train import main

if __name__ == "__main__":
    command.run(main)
