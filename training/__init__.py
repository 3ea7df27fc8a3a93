"""Train the models of the zoo; each ``train_<task>`` is a script (``python -m``)."""
