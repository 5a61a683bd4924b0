"""What stands between a frame and the IP packet in it: rarer link layers and tunnels, taken off layer by layer.

A layer is a number: a link type, or an EtherType, IP protocol or UDP port beside the number space's own bit. Each
peeler works on all rows of its layer at once and says which layer follows where. Bytes that are cut off read as those
of other packets or as the data's last one: whoever reads a header puts the next layer behind it, and what is then not
inside the packet is dropped.
Sources: tcpdump.org/linktypes; RFC 1661, 2427, 2516, 3032, 2784, 2890, 2637, 7348, 8926, 2661, 4380, 5415, 9300;
3GPP TS 29.281; IEEE 802.11, 802.2; radiotap.org; draft-foschiano-erspan.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trace_go.model.packets import I64, U8, Batch, LinkType

ETHERTYPE, PROTOCOL, PORT = 1 << 16, 1 << 17, 1 << 18
IPV4, IPV6 = ETHERTYPE | 0x0800, ETHERTYPE | 0x86DD
LLC, AMSDU, PADDED_WLAN, SWAPPED_WLAN = ((1 << 19) + n for n in range(4))
"""IEEE 802.2 header; aggregate of 802.11; 802.11 with a padded header, or with swapped frame control"""
DIX_MAX = 0x600
"""an EtherType below is a length (IEEE 802.3)"""
PAD = 16
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


def peel(data: U8, batch: Batch, rest: Rest) -> Batch | None:
    """The frames inside the rows of `rest`, as a batch of the same numbers and times; `linktype` is their layer."""
    parts = [(np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0, np.int64))]
    for layer in np.unique(rest.layer).tolist():
        rows = np.flatnonzero(rest.layer == layer)
        for holds, inner, at in _PEELERS[layer](Heads(data, rest.at[rows], rest.end[rows])):
            good = np.flatnonzero(holds & (at < rest.end[rows]) & (at > rest.at[rows] - 1))
            parts.append((rows[good], np.broadcast_to(inner, len(rows))[good], at[good]))
    row, layers, at = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")
    if not len(order):
        return None
    row, layers, at = row[order], layers[order], at[order]
    outer = rest.row[row]
    return Batch(
        data=data,
        offset=at,
        captured=rest.end[row] - at,
        length=np.maximum(rest.stop[row], rest.end[row]) - at,
        time_ns=batch.time_ns[outer],
        linktype=layers,
        first_number=0,
        numbers=batch.number(outer),
    )


# -- point to point ----------------------------------------------------------------------------------------------------


def _ppp(heads: Heads) -> list[Peeled]:
    """Address and control may be left out, and the first byte of the protocol (RFC 1661 §2, 1662 §3.1)."""
    framed = np.isin(heads.u16(0), (0xFF03, 0x0003, 0x0103))  # pppd writes the direction in place of the address
    heads = heads.behind(np.where(framed, 2, 0))
    short = heads.u8(0) & 1 == 1
    kind, size = np.where(short, heads.u8(0), heads.u16(0)), np.where(short, 1, 2)
    multilink = (kind == 0x3D) & (heads.u8(size) & 0xC0 == 0xC0)  # of which the packet is not in pieces
    layer = np.select(
        [kind == 0x21, kind == 0x57, kind == 0x281, multilink],
        [IPV4, IPV6, ETHERTYPE | 0x8847, LinkType.PPP],
        -1,
    )
    return [(layer >= 0, layer, heads.at + size + np.where(multilink, 4, 0))]


def _pppoe(heads: Heads) -> list[Peeled]:
    return [(heads.u16(0) == 0x1100, LinkType.PPP, heads.at + 6)]


def _cisco_hdlc(heads: Heads) -> list[Peeled]:
    return [(heads.all(), ETHERTYPE | heads.u16(2), heads.at + 4)]


def _ppp_or_hdlc(heads: Heads) -> list[Peeled]:
    cisco = np.isin(heads.u16(0), (0x0F00, 0x8F00))
    return [(heads.all(), np.where(cisco, LinkType.C_HDLC, LinkType.PPP), heads.at)]


def _frame_relay(heads: Heads) -> list[Peeled]:
    """Address of 2 to 4 bytes, then RFC 2427's control and network layer id, or Cisco's EtherType."""
    size = np.select([heads.u8(1) & 1 == 1, heads.u8(2) & 1 == 1], [2, 3], 4)
    heads = heads.behind(size)
    ietf = heads.u8(0) == 3
    size = np.where(ietf & (heads.u8(1) == 0), 2, 1)  # a padding byte
    network = heads.u8(size)
    snap = network == 0x80
    layer = np.select(
        [~ietf, network == 0xCC, network == 0x8E, snap & (heads.u32(size + 1) >> 8 == 0)],
        [ETHERTYPE | heads.u16(0), IPV4, IPV6, ETHERTYPE | heads.u16(size + 4)],
        -1,
    )
    return [(layer >= 0, layer, heads.at + np.where(ietf, size + np.where(snap, 6, 1), 2))]


# -- local networks ----------------------------------------------------------------------------------------------------


def _llc(heads: Heads) -> list[Peeled]:
    """SNAP with an EtherType (RFC 1042) or a bridged Ethernet frame (RFC 2684), or IP by its service access point."""
    snap, vendor = (heads.u16(0) == 0xAAAA) & (heads.u8(2) == 3), heads.u32(3) >> 8
    bridged = snap & (vendor == 0x0080C2) & np.isin(heads.u16(6), (1, 7))
    layer = np.select(
        [bridged, snap & np.isin(vendor, (0, 0xF8)), heads.u16(0) == 0x0606],
        [LinkType.ETHERNET, ETHERTYPE | heads.u16(6), IPV4],
        -1,
    )
    return [(layer >= 0, layer, heads.at + np.select([bridged, snap], [10, 8], 3))]


def _mpls(heads: Heads) -> list[Peeled]:
    """Labels, then IP, or a pseudowire's Ethernet frame with or without a control word (RFC 4448)."""
    size, more = np.full(len(heads.at), 4), heads.u8(2) & 1 == 0
    for _ in range(MAX_LABELS):
        if not more.any():
            break
        size = np.where(more, size + 4, size)
        more &= heads.u8(size - 2) & 1 == 0
    heads = heads.behind(size)
    word = (heads.u8(0) >> 4 == 0) & ~_is_ethernet(heads)
    layer = np.where(_looks_like_ip(heads), LinkType.RAW, LinkType.ETHERNET)
    return [(~more, layer, heads.at + np.where(word, 4, 0))]


def _looks_like_ip(heads: Heads) -> Mask:
    """An IP header whose length fits, where an address of Ethernet might begin with the same digit."""
    version, room = heads.u8(0) >> 4, heads.end - heads.at
    four = (version == 4) & (heads.u8(0) & 15 >= 5) & (heads.u16(2) >= 20)
    mask: Mask = (four & (heads.u8(8) > 0)) | ((version == 6) & (heads.u16(4) <= room) & (heads.u8(7) > 0))
    return mask


def _ieee80211(heads: Heads) -> list[Peeled]:
    """Data frames that are neither encrypted nor in fragments (IEEE 802.11-2020, 9.3.2.1)."""
    return _wlan_data(heads, 1)


def _padded_wlan(heads: Heads) -> list[Peeled]:
    return _wlan_data(heads, 4)


def _swapped_wlan(heads: Heads) -> list[Peeled]:
    return _wlan_data(heads, 1, swapped=True)


def _wlan_data(heads: Heads, align: int, *, swapped: bool = False) -> list[Peeled]:
    kind, flags = heads.u8(int(swapped)), heads.u8(int(not swapped))
    data = (kind & 0x0C == 0x08) & (kind & 0x40 == 0) & (flags & 0x44 == 0) & (heads.u8(22 + swapped) & 0x0F == 0)
    quality = kind & 0x80 != 0
    size = 24 + np.where(flags & 3 == 3, 6, 0)
    aggregate = quality & (heads.u8(size) & 0x80 != 0)
    size = size + np.where(quality, 2 + np.where(flags & 0x80 != 0, 4, 0), 0)
    size += -size % align
    return [(data, np.where(aggregate, AMSDU, LLC), heads.at + size)]


def _amsdu(heads: Heads) -> list[Peeled]:
    """Frames of two addresses, a length and an LLC header, padded to 4 bytes."""
    found: list[Peeled] = []
    at = np.zeros(len(heads.at), np.int64)
    for _ in range(MAX_FIELDS):
        size = heads.u16(at + 12)
        inside = (heads.at + at + 14 < heads.end) & (size > 0)
        if not inside.any():
            break
        found.append((inside, LLC, heads.at + at + 14))
        at = np.where(inside, at + 14 + size + -(14 + size) % 4, 1 << 32)
    return found


def _radiotap(heads: Heads) -> list[Peeled]:
    """The first two fields tell whether the 802.11 header is padded: a time stamp of 8 bytes, then flags."""
    size, more = np.full(len(heads.at), 8), heads.u32(4) & 0x80 != 0
    for _ in range(MAX_FIELDS):
        if not more.any():
            break
        size = np.where(more, size + 4, size)
        more &= heads.u8(size - 1) & 0x80 != 0
    present = heads.u8(4)
    size = np.where(present & 1, size + -size % 8 + 8, size)
    padded = (present & 2 != 0) & (heads.u8(size) & 0x20 != 0)
    layer = np.where(padded, PADDED_WLAN, LinkType.IEEE802_11)
    return [(heads.u8(0) == 0, layer, heads.at + heads.le16(2))]


def _prism(heads: Heads) -> list[Peeled]:
    """Prism's header has its length in the byte order of the host; AVS took its place with one in network order."""
    avs, little = heads.u32(0) >> 16 == 0x8021, heads.le32(4)
    size = np.where(avs | (little > MAX_PRISM), heads.u32(4), little)
    return [(size <= MAX_PRISM, LinkType.IEEE802_11, heads.at + size)]


def _ppi(heads: Heads) -> list[Peeled]:
    return [(heads.u8(0) == 0, heads.le32(4), heads.at + heads.le16(2))]


def _pktap(heads: Heads) -> list[Peeled]:
    """Header length, kind of record, link type of the interface (bsd/net/pktap.h of XNU)."""
    return [(heads.le32(4) == 1, heads.le32(8), heads.at + heads.le32(0))]


def _nflog(heads: Heads) -> list[Peeled]:
    """Fields of a length and a type in the byte order of the host; the packet is the one of type 9."""
    at = np.full(len(heads.at), 4)
    found = np.zeros(len(heads.at), bool)
    for _ in range(MAX_FIELDS):
        little = heads.le16(at + 2) & 0x7FFF < 0x100
        size = np.where(little, heads.le16(at), heads.u16(at))
        found |= (np.where(little, heads.le16(at + 2), heads.u16(at + 2)) & 0x7FFF == 9) & (size >= 4)
        if found.all():
            break
        at = np.where(found, at, at + np.maximum(size + -size % 4, 4))
    return [(found, LinkType.RAW, heads.at + at + 4)]


def _fddi(heads: Heads) -> list[Peeled]:
    return [(heads.u8(0) & 0xF0 == 0x50, LLC, heads.at + 13)]


def _arcnet(before: int) -> Callable[[Heads], list[Peeled]]:
    """RFC 1201 has 212 for IP and a fragmentation header, RFC 1051 has 240 and none. before: bytes before the type."""

    def peel_it(heads: Heads) -> list[Peeled]:
        kind = heads.u8(before)
        new = (kind == 212) & (heads.u8(before + 1) == 0)
        return [(new | (kind == 240), IPV4, heads.at + before + np.where(new, 4, 1))]

    return peel_it


# -- USB ---------------------------------------------------------------------------------------------------------------


def _usb(size: int, kind_at: int) -> Callable[[Heads], list[Peeled]]:
    """A bulk transfer behind a header of Linux (Documentation/usb/usbmon.rst)."""
    return lambda heads: _usb_data(heads.u8(kind_at) == 3, heads.behind(size))


def _usbpcap(heads: Heads) -> list[Peeled]:
    """desowin.org/usbpcap/captureformat.html"""
    return _usb_data(heads.u8(22) == 3, heads.behind(heads.le16(0)))


def _usb_data(bulk: Mask, heads: Heads) -> list[Peeled]:
    """A phone's network: RNDIS messages, NCM or MBIM blocks of frames, or (ECM) one frame as it is."""
    rndis = bulk & (heads.le32(0) == 1) & (heads.le32(4) >= 44) & (heads.le32(4) < 1 << 20)
    blocks = bulk & (heads.u32(0) == 0x4E434D48)  # NCMH
    found: list[Peeled] = [(bulk & ~rndis & ~blocks & _is_ethernet(heads), LinkType.ETHERNET, heads.at)]
    if rndis.any():
        at = np.zeros(len(heads.at), np.int64)
        for _ in range(MAX_FIELDS):
            message = rndis & (heads.at + at + 44 < heads.end) & (heads.le32(at) == 1) & (heads.le32(at + 4) >= 44)
            if not message.any():
                break
            found.append((message, LinkType.ETHERNET, heads.at + at + 8 + heads.le32(at + 8)))
            at = np.where(message, at + heads.le32(at + 4), 1 << 33)
    if blocks.any():
        table = heads.le16(10)
        layer = np.where(heads.u32(table) == 0x49505300, LinkType.RAW, LinkType.ETHERNET)  # IPS of MBIM; NCM0
        for entry in range(MAX_FIELDS):
            where, size = heads.le16(table + 8 + 4 * entry), heads.le16(table + 10 + 4 * entry)
            frame = blocks & (where > 0) & (size > 0)
            if not frame.any():
                break
            found.append((frame, layer, heads.at + where))
    return found


def _is_ethernet(heads: Heads) -> Mask:
    """An EtherType of IP, and the version that it announces."""
    kind, version = heads.u16(12), heads.u8(14) >> 4
    mask: Mask = ((kind == 0x0800) & (version == 4)) | ((kind == 0x86DD) & (version == 6))
    return mask


# -- tunnels -----------------------------------------------------------------------------------------------------------


def _gre(heads: Heads) -> list[Peeled]:
    """RFC 2784 with 2890; version 1 is PPTP's (RFC 2637)."""
    flags, kind = heads.u16(0), heads.u16(2)
    version, numbered = flags & 7, flags & 0x1000 != 0
    size = 4 + 4 * np.where(flags & 0x8000, 1, 0) + 4 * np.where(flags & 0x2000, 1, 0) + 4 * numbered
    size += 4 * ((version == 1) & (flags & 0x80 != 0))
    first, second, third = kind == 0x88BE, (kind == 0x88BE) & numbered, kind == 0x22EB  # ERSPAN's versions
    redirected = (kind == 0x883E) & (heads.u8(size) >> 4 != 4)  # WCCP's own header
    layer = np.select(
        [first | third | (kind == 0x6558), kind == 0x880B, kind == 0x883E],
        [LinkType.ETHERNET, LinkType.PPP, IPV4],
        ETHERTYPE | kind,
    )
    size += np.select([second, third, redirected], [8, 12 + 8 * (heads.u8(size + 11) & 1), 4], 0)
    return [((version <= 1) & (flags & 0x4000 == 0), layer, heads.at + size)]


def _vxlan(heads: Heads) -> list[Peeled]:
    """Also the generic protocol extension, whose P bit says that the header names what follows."""
    named = heads.u8(0) & 4 != 0
    layer = np.where(named, np.select([heads.u8(3) == n for n in (1, 2, 3)], [IPV4, IPV6, LinkType.ETHERNET], -1), 1)
    return [((heads.u8(0) & 8 != 0) & (layer >= 0), layer, heads.at + 8)]


def _geneve(heads: Heads) -> list[Peeled]:
    kind = heads.u16(2)
    layer = np.where(kind == 0x6558, LinkType.ETHERNET, ETHERTYPE | kind)
    return [(heads.u8(0) >> 6 == 0, layer, heads.at + 8 + (heads.u8(0) & 63) * 4)]


def _gtp(heads: Heads) -> list[Peeled]:
    """GTP-U version 1, a message of user data, with its extension headers."""
    flags = heads.u8(0)
    size = np.where(flags & 7, 12, 8)
    follows = np.where(flags & 4, heads.u8(11), 0)
    for _ in range(MAX_FIELDS):
        if not follows.any():
            break
        length = heads.u8(size) * 4
        size = np.where(follows, size + np.maximum(length, 4), size)
        follows = np.where(follows, heads.u8(size - 1), 0)
    return [((flags >> 4 == 3) & (heads.u8(1) == 255) & (follows == 0), LinkType.RAW, heads.at + size)]


def _l2tp(heads: Heads) -> list[Peeled]:
    """Version 2, data messages."""
    flags = heads.u16(0)
    size = 6 + np.where(flags & 0x4000, 2, 0) + np.where(flags & 0x0800, 4, 0)
    size = np.where(flags & 0x0200, size + 2 + heads.u16(size), size)
    return [(flags & 0x800F == 2, LinkType.PPP, heads.at + size)]


def _teredo(heads: Heads) -> list[Peeled]:
    """Authentication and origin may come before IPv6."""
    size = np.where(heads.u16(0) == 1, 13 + heads.u8(2) + heads.u8(3), 0)
    size = np.where(heads.u16(size) == 0, size + 8, size)
    return [(heads.u8(size) >> 4 == 6, IPV6, heads.at + size)]


def _capwap(heads: Heads) -> list[Peeled]:
    """Ethernet or 802.11 frames that are not in fragments. Cisco swaps the bytes of the latter's numbers."""
    bits = heads.u32(0)
    size = (bits >> 19 & 31) * 4
    wlan = np.where(heads.u8(size) & 3 == 0, LinkType.IEEE802_11, SWAPPED_WLAN)  # the version is 0
    layer = np.where(bits & 0x100, wlan, LinkType.ETHERNET)
    return [((bits >> 24 == 0) & (bits & 0x80 == 0), layer, heads.at + size)]


def _tzsp(heads: Heads) -> list[Peeled]:
    """What MikroTik's sniffer streams: version, type, protocol, then tags up to the end tag, 1."""
    kind = heads.u16(2)
    layer = np.select([kind == 1, kind == 18], [LinkType.ETHERNET, LinkType.IEEE802_11], -1)
    size, ended = np.full(len(heads.at), 4), np.zeros(len(heads.at), bool)
    for _ in range(MAX_FIELDS):
        tag = heads.u8(size)
        step = np.where(tag <= 1, 1, 2 + heads.u8(size + 1))
        size, ended = np.where(ended, size, size + step), ended | (tag == 1)
        if ended.all():
            break
    return [((heads.u8(0) == 1) & ended & (layer >= 0), layer, heads.at + size)]


def _ip(heads: Heads) -> list[Peeled]:
    return [(heads.all(), LinkType.RAW, heads.at)]


def _behind(size: int, layer: int) -> Callable[[Heads], list[Peeled]]:
    """A header of a fixed size in front of the layer."""
    return lambda heads: [(heads.all(), layer, heads.at + size)]


def _tagged(size: int) -> Callable[[Heads], list[Peeled]]:
    """A tag of a fixed size, and the EtherType of what follows."""
    return lambda heads: [(heads.all(), ETHERTYPE | heads.u16(size), heads.at + size + 2)]


_PEELERS: dict[int, Callable[[Heads], list[Peeled]]] = {
    LinkType.PPP: _ppp,
    LinkType.PPP_PPPD: _ppp,
    LinkType.PPP_WITH_DIRECTION: _behind(1, LinkType.PPP),
    LinkType.PPP_HDLC: _ppp_or_hdlc,
    LinkType.PPP_ETHER: _pppoe,
    LinkType.C_HDLC: _cisco_hdlc,
    LinkType.FRAME_RELAY: _frame_relay,
    LinkType.ATM_RFC1483: _behind(0, LLC),
    LinkType.FDDI: _fddi,
    LinkType.ARCNET_BSD: _arcnet(2),
    LinkType.ARCNET_LINUX: _arcnet(4),
    LinkType.IEEE802_11: _ieee80211,
    LinkType.IEEE802_11_PRISM: _prism,
    LinkType.IEEE802_11_AVS: _prism,
    LinkType.IEEE802_11_RADIOTAP: _radiotap,
    LinkType.PPI: _ppi,
    LinkType.PKTAP: _pktap,
    LinkType.USER2: _pktap,
    LinkType.NFLOG: _nflog,
    LinkType.MPLS: _mpls,
    LinkType.ETHERNET_MPACKET: _behind(8, LinkType.ETHERNET),
    LinkType.USB_LINUX: _usb(48, 9),
    LinkType.USB_LINUX_MMAPPED: _usb(64, 9),
    LinkType.USBPCAP: _usbpcap,
    LLC: _llc,
    AMSDU: _amsdu,
    PADDED_WLAN: _padded_wlan,
    SWAPPED_WLAN: _swapped_wlan,
    ETHERTYPE | 0x6558: _behind(0, LinkType.ETHERNET),
    ETHERTYPE | 0x8847: _mpls,
    ETHERTYPE | 0x8848: _mpls,
    ETHERTYPE | 0x8864: _pppoe,
    ETHERTYPE | 0x880B: _ppp,
    ETHERTYPE | 0x8926: _tagged(4),  # VN-Tag
    ETHERTYPE | 0x893F: _tagged(6),  # IEEE 802.1BR
    ETHERTYPE | 0x88E7: _behind(4, LinkType.ETHERNET),  # a backbone's frame (IEEE 802.1ah)
    PROTOCOL | 4: _ip,
    PROTOCOL | 41: _ip,
    PROTOCOL | 47: _gre,
    PROTOCOL | 97: _behind(2, LinkType.ETHERNET),  # EtherIP, RFC 3378
    PROTOCOL | 137: _mpls,
    PORT | 1701: _l2tp,
    PORT | 2152: _gtp,
    PORT | 3544: _teredo,
    PORT | 4341: _behind(8, LinkType.RAW),  # LISP
    PORT | 4754: _gre,
    PORT | 4789: _vxlan,
    PORT | 4790: _vxlan,
    PORT | 5247: _capwap,
    PORT | 6081: _geneve,
    PORT | 6635: _mpls,
    PORT | 8472: _vxlan,
    PORT | 37008: _tzsp,
}
LAYERS = np.sort(np.array(list(_PEELERS), np.int64))
"""what can be taken off"""
PEELED_PROTOCOLS, TUNNEL_PORTS = np.zeros(1 << 8, bool), np.zeros(1 << 16, bool)
"""whether an IP protocol, or a UDP port, is a layer of these"""
PEELED_PROTOCOLS[LAYERS[LAYERS & PROTOCOL > 0] ^ PROTOCOL] = True
TUNNEL_PORTS[LAYERS[LAYERS & PORT > 0] ^ PORT] = True
