"""Models: what they take and answer, the shipped ones, loading, predicting."""
