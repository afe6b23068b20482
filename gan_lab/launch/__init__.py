"""Processes: one run on several devices, and many runs side by side."""
