"""Logs of the go command as text."""

from trace_go.gocmd.log import LogReader
from trace_go.model.go import GoLog


def read_log(text: str) -> GoLog:
    """A log of which trace-go asked for no line."""
    reader = LogReader(expect_x=False, expect_http2=False)
    for line in text.splitlines():
        reader.feed(line)
    return reader.finish()
