"""Train the models of the zoo: ``python -m training NAME``."""
