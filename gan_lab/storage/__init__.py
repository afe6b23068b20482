"""What lies on the disk: checkpoints, locks, the files of a run, and how runs are found."""
