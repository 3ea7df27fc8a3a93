"""`seqtile bench`: how fast models run, measured so that runs can be compared."""
