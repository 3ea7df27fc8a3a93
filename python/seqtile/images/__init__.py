"""Image files by rows, their contrast, tiles and how they are put together."""
