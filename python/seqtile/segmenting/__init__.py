"""Objects in images of any size."""
