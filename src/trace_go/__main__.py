"""`python -m trace_go`."""

from trace_go.cli.main import run

run()
