"""Anomaly detectors: one file, one ID, one page. Discovered, never listed."""
