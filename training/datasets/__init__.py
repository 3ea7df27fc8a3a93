"""One file per data set: fetch, checksum, split; no model code."""
