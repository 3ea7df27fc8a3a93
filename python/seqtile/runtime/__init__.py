"""Models: cards, loading, batches, the pipeline that feeds them."""
