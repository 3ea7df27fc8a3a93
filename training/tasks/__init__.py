"""A folder a task: its data, networks, training, card."""
