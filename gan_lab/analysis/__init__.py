"""Looks inside a trained game: each file is one, with a function of its name from a run to what it finds."""
