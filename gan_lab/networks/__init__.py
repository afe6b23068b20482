"""Neural networks: arithmetic only. They take numbers and return raw scores or samples."""
