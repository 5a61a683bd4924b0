"""The nouns of trace-go. Imports the standard library and NumPy only."""
