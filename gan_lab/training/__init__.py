"""The loop and those who watch it."""
