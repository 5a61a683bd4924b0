"""Peelers of tunnels, behind an IP protocol or a UDP port.

Sources: RFC 2784, 2890, 2637, 7348, 8926, 2661, 4380, 5415, 9300; 3GPP TS 29.281; draft-foschiano-erspan.
"""

import numpy as np

from trace_go.flows.heads import (
    ETHERTYPE,
    IPV4,
    IPV6,
    MAX_FIELDS,
    SWAPPED_WLAN,
    Heads,
    Peeled,
)
from trace_go.model.packets import LinkType


def gre(heads: Heads) -> list[Peeled]:
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


def vxlan(heads: Heads) -> list[Peeled]:
    """Also the generic protocol extension, whose P bit says that the header names what follows."""
    named = heads.u8(0) & 4 != 0
    layer = np.where(named, np.select([heads.u8(3) == n for n in (1, 2, 3)], [IPV4, IPV6, LinkType.ETHERNET], -1), 1)
    return [((heads.u8(0) & 8 != 0) & (layer >= 0), layer, heads.at + 8)]


def geneve(heads: Heads) -> list[Peeled]:
    kind = heads.u16(2)
    layer = np.where(kind == 0x6558, LinkType.ETHERNET, ETHERTYPE | kind)
    return [(heads.u8(0) >> 6 == 0, layer, heads.at + 8 + (heads.u8(0) & 63) * 4)]


def gtp(heads: Heads) -> list[Peeled]:
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


def l2tp(heads: Heads) -> list[Peeled]:
    """Version 2, data messages."""
    flags = heads.u16(0)
    size = 6 + np.where(flags & 0x4000, 2, 0) + np.where(flags & 0x0800, 4, 0)
    size = np.where(flags & 0x0200, size + 2 + heads.u16(size), size)
    return [(flags & 0x800F == 2, LinkType.PPP, heads.at + size)]


def teredo(heads: Heads) -> list[Peeled]:
    """Authentication and origin may come before IPv6."""
    size = np.where(heads.u16(0) == 1, 13 + heads.u8(2) + heads.u8(3), 0)
    size = np.where(heads.u16(size) == 0, size + 8, size)
    return [(heads.u8(size) >> 4 == 6, IPV6, heads.at + size)]


def capwap(heads: Heads) -> list[Peeled]:
    """Ethernet or 802.11 frames that are not in fragments. Cisco swaps the bytes of the latter's numbers."""
    bits = heads.u32(0)
    size = (bits >> 19 & 31) * 4
    wlan = np.where(heads.u8(size) & 3 == 0, LinkType.IEEE802_11, SWAPPED_WLAN)  # the version is 0
    layer = np.where(bits & 0x100, wlan, LinkType.ETHERNET)
    return [((bits >> 24 == 0) & (bits & 0x80 == 0), layer, heads.at + size)]


def tzsp(heads: Heads) -> list[Peeled]:
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
