"""`python -m training.train_jund_accessibility`: see `training.tasks.jund_accessibility`."""

from .lab import command
from .tasks.jund_accessibility.train import main

if __name__ == "__main__":
    command.run(main)
