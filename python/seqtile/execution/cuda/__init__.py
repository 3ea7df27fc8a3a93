"""Batches in memory that stays on a CUDA device."""
