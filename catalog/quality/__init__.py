"""What data is like and whether it may pass: statistics, distributions, validation reports, snapshots for training."""
