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
    ARCNET_BSD = 7
    PPP = 9
    FDDI = 10
    RAW_BSD = 12
    RAW_OPENBSD = 14
    PPP_HDLC = 50
    PPP_ETHER = 51
    ATM_RFC1483 = 100
    RAW = 101
    C_HDLC = 104
    IEEE802_11 = 105
    FRAME_RELAY = 107
    LOOP = 108
    LINUX_SLL = 113
    IEEE802_11_PRISM = 119
    IEEE802_11_RADIOTAP = 127
    ARCNET_LINUX = 129
    APPLE_IP_OVER_IEEE1394 = 138
    USER2 = 149
    """DLT_PKTAP on macOS wrote this number before PKTAP had one of its own"""
    IEEE802_11_AVS = 163
    PPP_PPPD = 166
    USB_LINUX = 189
    PPI = 192
    PPP_WITH_DIRECTION = 204
    MPLS = 219
    USB_LINUX_MMAPPED = 220
    IPV4 = 228
    IPV6 = 229
    NFLOG = 239
    USBPCAP = 249
    PKTAP = 258
    ETHERNET_MPACKET = 274
    LINUX_SLL2 = 276
    BRCM_TAG = 281
    BRCM_TAG_PREPEND = 282
    DSA_TAG_DSA = 284
    DSA_TAG_EDSA = 285


def places(numbers: I64, wanted: I64) -> I64:
    """Where the wanted numbers (m,) first stand among the others (n,); -1 for those that do not."""
    if not len(wanted):
        return wanted
    order = np.argsort(numbers, kind="stable")
    at = order[np.minimum(np.searchsorted(numbers, wanted, sorter=order), len(order) - 1)]
    return np.where(numbers[at] == wanted, at, -1)


class Batch(Struct, frozen=True, kw_only=True, gc=False):
    """Some packets as columns; row i of every column is one packet, in the order of its file.

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
    """number of row 0, with its file (evidence.FILE_SHIFT); the following rows have the following numbers"""
    numbers: I64 | None = None
    """the number of each row where they do not follow each other: rows of several files"""

    def number(self, row: I64) -> I64:
        return self.first_number + row if self.numbers is None else self.numbers[row]

    def place(self, numbers: I64) -> I64:
        """The row of each number; -1 for those of other batches."""
        if self.numbers is None:
            row = numbers - self.first_number
            return np.where((row >= 0) & (row < len(self)), row, -1)
        return places(self.numbers, numbers)

    def part(self, start: int, stop: int) -> "Batch":
        """The rows from `start` up to `stop`."""
        rows = slice(start, stop)
        return Batch(
            data=self.data,
            offset=self.offset[rows],
            captured=self.captured[rows],
            length=self.length[rows],
            time_ns=self.time_ns[rows],
            linktype=self.linktype[rows],
            first_number=self.first_number + start,
            numbers=None if self.numbers is None else self.numbers[rows],
        )

    def __len__(self) -> int:
        return len(self.offset)
