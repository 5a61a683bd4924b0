"""The command's log: what to show of it while it runs, and its account once it is over."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from trace_go.capture.run import MAX_LINE_BYTES
from trace_go.gocmd.log import LogReader
from trace_go.model.go import GoLog

_DEBUG = ("http2: Framer 0x", "http2: Transport encoding header ", "http2: decoded hpack field header field ")
"""beginnings of nearly all lines of http2debug, 10,000 for 100 modules"""


def line_filter(*, expect_x: bool, expect_http2: bool) -> Callable[[str], bool]:
    """Says of each line whether the user sees it. Cheap, because it runs beside the command; reading waits."""
    reader = LogReader(expect_x=expect_x, expect_http2=expect_http2)
    if not expect_http2:
        return reader.feed
    return lambda line: not line.startswith(_DEBUG) and reader.feed(line)


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
