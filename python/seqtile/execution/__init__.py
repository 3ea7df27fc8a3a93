"""Run batches on a processor or on CUDA: sessions, lanes, sizes, order."""
