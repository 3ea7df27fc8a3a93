"""Track files, written block by block."""
