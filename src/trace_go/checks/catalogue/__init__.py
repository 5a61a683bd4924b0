"""The catalogue: every module here is a check."""
