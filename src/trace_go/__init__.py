"""trace-go: which hop served each Go module request, and what is wrong with the path."""

__version__ = "0.1.0"
