"""Peelers of rarer link layers: point to point, local networks, USB.

Sources: tcpdump.org/linktypes; RFC 1661, 2427, 2516, 3032; IEEE 802.11, 802.2; radiotap.org.
"""

from collections.abc import Callable

import numpy as np

from trace_go.flows.heads import (
    AMSDU,
    ETHERTYPE,
    IPV4,
    IPV6,
    LLC,
    MAX_FIELDS,
    MAX_LABELS,
    MAX_PRISM,
    PADDED_WLAN,
    Heads,
    Mask,
    Peeled,
)
from trace_go.model.packets import LinkType

# -- point to point ----------------------------------------------------------------------------------------------------


def ppp(heads: Heads) -> list[Peeled]:
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


def pppoe(heads: Heads) -> list[Peeled]:
    return [(heads.u16(0) == 0x1100, LinkType.PPP, heads.at + 6)]


def cisco_hdlc(heads: Heads) -> list[Peeled]:
    return [(heads.all(), ETHERTYPE | heads.u16(2), heads.at + 4)]


def ppp_or_hdlc(heads: Heads) -> list[Peeled]:
    cisco = np.isin(heads.u16(0), (0x0F00, 0x8F00))
    return [(heads.all(), np.where(cisco, LinkType.C_HDLC, LinkType.PPP), heads.at)]


def frame_relay(heads: Heads) -> list[Peeled]:
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


def llc(heads: Heads) -> list[Peeled]:
    """SNAP with an EtherType (RFC 1042) or a bridged Ethernet frame (RFC 2684), or IP by its service access point."""
    snap, vendor = (heads.u16(0) == 0xAAAA) & (heads.u8(2) == 3), heads.u32(3) >> 8
    bridged = snap & (vendor == 0x0080C2) & np.isin(heads.u16(6), (1, 7))
    layer = np.select(
        [bridged, snap & np.isin(vendor, (0, 0xF8)), heads.u16(0) == 0x0606],
        [LinkType.ETHERNET, ETHERTYPE | heads.u16(6), IPV4],
        -1,
    )
    return [(layer >= 0, layer, heads.at + np.select([bridged, snap], [10, 8], 3))]


def mpls(heads: Heads) -> list[Peeled]:
    """Labels, then IP, or a pseudowire's Ethernet frame with or without a control word (RFC 4448)."""
    size, more = np.full(len(heads.at), 4), heads.u8(2) & 1 == 0
    for _ in range(MAX_LABELS):
        if not more.any():
            break
        size = np.where(more, size + 4, size)
        more &= heads.u8(size - 2) & 1 == 0
    heads = heads.behind(size)
    word = (heads.u8(0) >> 4 == 0) & ~is_ethernet(heads)
    layer = np.where(looks_like_ip(heads), LinkType.RAW, LinkType.ETHERNET)
    return [(~more, layer, heads.at + np.where(word, 4, 0))]


def looks_like_ip(heads: Heads) -> Mask:
    """An IP header whose length fits, where an address of Ethernet might begin with the same digit."""
    version, room = heads.u8(0) >> 4, heads.end - heads.at
    four = (version == 4) & (heads.u8(0) & 15 >= 5) & (heads.u16(2) >= 20)
    mask: Mask = (four & (heads.u8(8) > 0)) | ((version == 6) & (heads.u16(4) <= room) & (heads.u8(7) > 0))
    return mask


def ieee80211(heads: Heads) -> list[Peeled]:
    """Data frames that are neither encrypted nor in fragments (IEEE 802.11-2020, 9.3.2.1)."""
    return wlan_data(heads, 1)


def padded_wlan(heads: Heads) -> list[Peeled]:
    return wlan_data(heads, 4)


def swapped_wlan(heads: Heads) -> list[Peeled]:
    return wlan_data(heads, 1, swapped=True)


def wlan_data(heads: Heads, align: int, *, swapped: bool = False) -> list[Peeled]:
    kind, flags = heads.u8(int(swapped)), heads.u8(int(not swapped))
    data = (kind & 0x0C == 0x08) & (kind & 0x40 == 0) & (flags & 0x44 == 0) & (heads.u8(22 + swapped) & 0x0F == 0)
    quality = kind & 0x80 != 0
    size = 24 + np.where(flags & 3 == 3, 6, 0)
    aggregate = quality & (heads.u8(size) & 0x80 != 0)
    size = size + np.where(quality, 2 + np.where(flags & 0x80 != 0, 4, 0), 0)
    size += -size % align
    return [(data, np.where(aggregate, AMSDU, LLC), heads.at + size)]


def amsdu(heads: Heads) -> list[Peeled]:
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


def radiotap(heads: Heads) -> list[Peeled]:
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


def prism(heads: Heads) -> list[Peeled]:
    """Prism's header has its length in the byte order of the host; AVS took its place with one in network order."""
    avs, little = heads.u32(0) >> 16 == 0x8021, heads.le32(4)
    size = np.where(avs | (little > MAX_PRISM), heads.u32(4), little)
    return [(size <= MAX_PRISM, LinkType.IEEE802_11, heads.at + size)]


def ppi(heads: Heads) -> list[Peeled]:
    return [(heads.u8(0) == 0, heads.le32(4), heads.at + heads.le16(2))]


def pktap(heads: Heads) -> list[Peeled]:
    """Header length, kind of record, link type of the interface (bsd/net/pktap.h of XNU)."""
    return [(heads.le32(4) == 1, heads.le32(8), heads.at + heads.le32(0))]


def nflog(heads: Heads) -> list[Peeled]:
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


def fddi(heads: Heads) -> list[Peeled]:
    return [(heads.u8(0) & 0xF0 == 0x50, LLC, heads.at + 13)]


def arcnet(before: int) -> Callable[[Heads], list[Peeled]]:
    """RFC 1201 has 212 for IP and a fragmentation header, RFC 1051 has 240 and none. before: bytes before the type."""

    def peel_it(heads: Heads) -> list[Peeled]:
        kind = heads.u8(before)
        new = (kind == 212) & (heads.u8(before + 1) == 0)
        return [(new | (kind == 240), IPV4, heads.at + before + np.where(new, 4, 1))]

    return peel_it


# -- USB ---------------------------------------------------------------------------------------------------------------


def usb(size: int, kind_at: int) -> Callable[[Heads], list[Peeled]]:
    """A bulk transfer behind a header of Linux (Documentation/usb/usbmon.rst)."""
    return lambda heads: usb_data(heads.u8(kind_at) == 3, heads.behind(size))


def usbpcap(heads: Heads) -> list[Peeled]:
    """desowin.org/usbpcap/captureformat.html"""
    return usb_data(heads.u8(22) == 3, heads.behind(heads.le16(0)))


def usb_data(bulk: Mask, heads: Heads) -> list[Peeled]:
    """A phone's network: RNDIS messages, NCM or MBIM blocks of frames, or (ECM) one frame as it is."""
    rndis = bulk & (heads.le32(0) == 1) & (heads.le32(4) >= 44) & (heads.le32(4) < 1 << 20)
    blocks = bulk & (heads.u32(0) == 0x4E434D48)  # NCMH
    found: list[Peeled] = [(bulk & ~rndis & ~blocks & is_ethernet(heads), LinkType.ETHERNET, heads.at)]
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


def is_ethernet(heads: Heads) -> Mask:
    """An EtherType of IP, and the version that it announces."""
    kind, version = heads.u16(12), heads.u8(14) >> 4
    mask: Mask = ((kind == 0x0800) & (version == 4)) | ((kind == 0x86DD) & (version == 6))
    return mask
