"""Questions about training and models, each answered by a table and a figure."""
