"""The command's log: what nobody wants to see of it, and its account once the command is over."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from trace_go.capture.run import MAX_LINE_BYTES
from trace_go.gocmd.log import LogReader
from trace_go.model.go import GoLog

DEBUG_LINES = re.compile(
    rb"^http2: (?:Framer 0x|Transport encoding header |decoded hpack field header field ).*\n", re.MULTILINE
)
"""nearly all lines of http2debug, 10,000 for 100 modules: told apart at once, because that runs beside the command"""


def read_log(path: Path, *, expect_x: bool, expect_http2: bool) -> GoLog:
    """go's account in the raw log. Raises OSError."""
    reader = LogReader(expect_x=expect_x, expect_http2=expect_http2)
    with path.open("rb") as data:
        for line in _lines(data):
            reader.feed(line.decode("utf-8", "backslashreplace"))
    return reader.finish()


def _lines(data: BinaryIO) -> Iterator[bytes]:
    """Lines without their newline, of each as much as the run itself looked at."""
    begins = True
    while part := data.readline(MAX_LINE_BYTES):
        if begins:
            yield part.removesuffix(b"\n")
        begins = part.endswith(b"\n")
