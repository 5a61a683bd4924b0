"""Reporters: `render(report, out)`, options in the constructor."""
