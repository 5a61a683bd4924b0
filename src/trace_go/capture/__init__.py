"""The I/O edge: capture files, live interfaces, running a command, the active probe."""
