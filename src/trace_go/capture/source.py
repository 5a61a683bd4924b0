"""Where live packets come from: what all sources have in common."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Protocol

from msgspec import Struct

from trace_go.model.numbers import Natural
from trace_go.model.packets import Batch


class CaptureStats(Struct, frozen=True, kw_only=True):
    packets: Natural
    drops: Natural | None
    """packets lost because we were too slow; None when the capturing program does not say"""
    method: str
    """`packet socket`, `dumpcap`, `tcpdump` or `pcap library`"""
    problem: str | None
    """one line: why the capture is not complete"""


class Source(Protocol):
    """Packets as they come. They are kept in the file that the source was made with, as long as that can be written."""

    quiet_s: float
    """what was sent before has come in when nothing came for this long"""
    longest_drain_s: float
    ended: bool
    """no more will come"""

    def gather(self, stop: threading.Event) -> None:
        """Let packets come together, until it is time to read or `stop` is set."""

    def read(self, wait_s: float) -> Batch | None:
        """The next packets, None when none came in time. Valid until the next call."""

    def finish(self) -> CaptureStats:
        """End the capture and the file."""

    def close(self) -> None:
        """Give back what the capture took; may take some milliseconds."""


class Kept:
    """The file to keep a capture in, if any. Once it cannot be written it is left as it is, and `problem` says why."""

    def __init__(self, out: BinaryIO | None) -> None:
        self.out = out
        self.problem: str | None = None

    @contextmanager
    def writing(self) -> Iterator[BinaryIO | None]:
        try:
            yield self.out
        except OSError as error:
            self.problem = f"the capture file is cut: {error.strerror}"
            out, self.out = self.out, None
            if out is not None:
                with suppress(OSError):
                    out.close()
