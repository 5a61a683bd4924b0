"""The command's log: what nobody wants to see of it, and its account once the command is over."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from trace_go.capture.run import MAX_LINE_BYTES
from trace_go.gocmd.log import LogReader
from trace_go.model.go import GoLog

_GET = rb"# get [a-z][a-z0-9+.-]*://[!-~]+(?:: .+)?$"
_HTTP2 = (
    rb"(?:go: )?http2: (?:Framer 0x|Transport (?:encoding header |received [A-Z])|decoded hpack field header field )"
)


def told_apart_at_once(*, expect_x: bool, expect_http2: bool) -> re.Pattern[bytes] | None:
    """Whole lines, nearly all that we ask for (9,000 for 100 modules): a cheap sieve, because it runs beside go.

    Each line that it takes is one that LogReader takes too.
    """
    kinds = [kind for kind, expected in ((_GET, expect_x), (_HTTP2, expect_http2)) if expected]
    return re.compile(b"^(?:" + b"|".join(kinds) + rb").*\n", re.MULTILINE) if kinds else None


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
