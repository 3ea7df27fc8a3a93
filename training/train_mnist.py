"""`python -m training.train_mnist` is `python -m training.tasks.mnist.train`."""

from .lab import command
from .tasks.mnist.train import main

if __name__ == "__main__":
    command.run(main)
