"""Finished or running experiments, opened, judged and compared."""
