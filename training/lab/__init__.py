"""What every task trains with: loop, metrics, pictures, baselines, command line."""
