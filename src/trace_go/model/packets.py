"""Packets as columns: what a capture hands to the flow engine."""

from enum import IntEnum

import numpy as np
import numpy.typing as npt
from msgspec import Struct

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]


class LinkType(IntEnum):
    """LINKTYPE_ values (tcpdump.org/linktypes.html) whose link header we decode."""

    NULL = 0
    ETHERNET = 1
    RAW_BSD = 12
    RAW_OPENBSD = 14
    RAW = 101
    LOOP = 108
    LINUX_SLL = 113
    IPV4 = 228
    IPV6 = 229
    LINUX_SLL2 = 276


class Batch(Struct, frozen=True, kw_only=True, gc=False):
    """Some packets of one file as columns; row i of every column is one packet, in file order.

    All arrays have shape (n,). `data` is the chunk they point into; it is only valid until the next batch is asked for.
    """

    data: U8
    """the chunk's bytes, shape (m,), uint8"""
    offset: I64
    """where the packet's link-layer header begins in `data`"""
    captured: I64
    """bytes captured (offset + captured <= m)"""
    length: I64
    """bytes on the wire (>= captured unless the file lies; then it is set to captured)"""
    time_ns: I64
    """nanoseconds since 1970-01-01 UTC"""
    linktype: I64
    """LINKTYPE_ number"""
    first_number: int
    """number of row 0 in its file; packet numbers count from 1 as Wireshark's do"""
    file: int = 0
    """index of the file in the list of files that are read together"""

    def __len__(self) -> int:
        return len(self.offset)
