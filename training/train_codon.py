"""`python -m training.train_codon` is `python -m training.tasks.codon.train`."""

from .lab import command
from .tasks.codon.train import main

if __name__ == "__main__":
    command.run(main)
