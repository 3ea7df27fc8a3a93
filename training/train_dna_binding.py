"""`python -m training.train_dna_binding` is `python -m training.tasks.dna_binding.train`."""

from .lab import command
from .tasks.dna_binding.train import main

if __name__ == "__main__":
    command.run(main)
