"""How layers are told apart and their headers read: the numbers of layers, rows of bytes, what a peeler finds.

A layer is a number: a link type, or an EtherType, IP protocol or UDP port beside the number space's own bit.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trace_go.model.packets import I64, U8

ETHERTYPE, PROTOCOL, PORT = 1 << 16, 1 << 17, 1 << 18
IPV4, IPV6 = ETHERTYPE | 0x0800, ETHERTYPE | 0x86DD
LLC, AMSDU, PADDED_WLAN, SWAPPED_WLAN = ((1 << 19) + n for n in range(4))
"""IEEE 802.2 header; aggregate of 802.11; 802.11 with a padded header, or with swapped frame control"""
DIX_MAX = 0x600
"""an EtherType below is a length (IEEE 802.3)"""
PAD = 24
"""bytes that must follow the last packet in a batch's data for the header windows (else the data is copied)"""
MAX_LAYERS = 12
"""taken off one packet; radiotap, 802.11, LLC, IP, UDP, VXLAN, Ethernet and IP again are eight"""
MAX_LABELS = 16
"""MPLS labels of a packet; networks push up to five"""
MAX_FIELDS = 16
"""type-length-value fields, header extensions, or frames of an aggregate, looked at in one packet"""
MAX_PRISM = 4096
"""bytes of a Prism or AVS header; they have 144 and 64"""

Mask = npt.NDArray[np.bool_]
Peeled = tuple[Mask, I64 | int, I64]
"""which rows hold another layer, that layer, and where it begins"""


class Rest(NamedTuple):
    """Rows that hold a layer which is not IP, TCP, UDP or ICMP; all of shape (n,)."""

    row: I64
    """of the batch"""
    layer: I64
    at: I64
    end: I64
    """of what was captured"""
    stop: I64
    """of the packet, captured or not"""


class Heads:
    """Rows of bytes: where each begins in the data, and where what was captured of it ends."""

    def __init__(self, data: U8, at: I64, end: I64) -> None:
        self.data, self.at, self.end = data, at, end

    def u8(self, place: I64 | int) -> I64:
        found: I64 = self.data[np.minimum(self.at + place, len(self.data) - 1)].astype(np.int64)
        return found

    def u16(self, place: I64 | int) -> I64:
        return self.u8(place) << 8 | self.u8(place + 1)

    def u32(self, place: I64 | int) -> I64:
        return self.u16(place) << 16 | self.u16(place + 2)

    def le16(self, place: I64 | int) -> I64:
        return self.u8(place + 1) << 8 | self.u8(place)

    def le32(self, place: I64 | int) -> I64:
        return self.le16(place + 2) << 16 | self.le16(place)

    def all(self) -> Mask:
        return np.ones(len(self.at), bool)

    def behind(self, size: I64 | int) -> "Heads":
        return Heads(self.data, self.at + size, self.end)
