"""What stands between a frame and the IP packet in it: rarer link layers and tunnels, taken off layer by layer.

Each peeler works on all rows of its layer at once and says which layer follows where. Bytes that are cut off read as
those of other packets or as the data's last one: whoever reads a header puts the next layer behind it, and what is then
not inside the packet is dropped.
"""

from collections.abc import Callable

import numpy as np

from trace_go.flows import links, tunnels
from trace_go.flows.heads import (
    AMSDU,
    ETHERTYPE,
    LLC,
    PADDED_WLAN,
    PORT,
    PROTOCOL,
    SWAPPED_WLAN,
    Heads,
    Peeled,
    Rest,
)
from trace_go.model.packets import U8, Batch, LinkType


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


def _ip(heads: Heads) -> list[Peeled]:
    return [(heads.all(), LinkType.RAW, heads.at)]


def _behind(size: int, layer: int) -> Callable[[Heads], list[Peeled]]:
    """A header of a fixed size in front of the layer."""
    return lambda heads: [(heads.all(), layer, heads.at + size)]


def _tagged(size: int) -> Callable[[Heads], list[Peeled]]:
    """A tag of a fixed size, and the EtherType of what follows."""
    return lambda heads: [(heads.all(), ETHERTYPE | heads.u16(size), heads.at + size + 2)]


_PEELERS: dict[int, Callable[[Heads], list[Peeled]]] = {
    LinkType.PPP: links.ppp,
    LinkType.PPP_PPPD: links.ppp,
    LinkType.PPP_WITH_DIRECTION: _behind(1, LinkType.PPP),
    LinkType.PPP_HDLC: links.ppp_or_hdlc,
    LinkType.PPP_ETHER: links.pppoe,
    LinkType.C_HDLC: links.cisco_hdlc,
    LinkType.FRAME_RELAY: links.frame_relay,
    LinkType.ATM_RFC1483: _behind(0, LLC),
    LinkType.FDDI: links.fddi,
    LinkType.ARCNET_BSD: links.arcnet(2),
    LinkType.ARCNET_LINUX: links.arcnet(4),
    LinkType.IEEE802_11: links.ieee80211,
    LinkType.IEEE802_11_PRISM: links.prism,
    LinkType.IEEE802_11_AVS: links.prism,
    LinkType.IEEE802_11_RADIOTAP: links.radiotap,
    LinkType.PPI: links.ppi,
    LinkType.PKTAP: links.pktap,
    LinkType.USER2: links.pktap,
    LinkType.NFLOG: links.nflog,
    LinkType.MPLS: links.mpls,
    LinkType.ETHERNET_MPACKET: _behind(8, LinkType.ETHERNET),
    LinkType.USB_LINUX: links.usb(48, 9),
    LinkType.USB_LINUX_MMAPPED: links.usb(64, 9),
    LinkType.USBPCAP: links.usbpcap,
    LLC: links.llc,
    AMSDU: links.amsdu,
    PADDED_WLAN: links.padded_wlan,
    SWAPPED_WLAN: links.swapped_wlan,
    ETHERTYPE | 0x6558: _behind(0, LinkType.ETHERNET),
    ETHERTYPE | 0x8847: links.mpls,
    ETHERTYPE | 0x8848: links.mpls,
    ETHERTYPE | 0x8864: links.pppoe,
    ETHERTYPE | 0x880B: links.ppp,
    ETHERTYPE | 0x8926: _tagged(4),  # VN-Tag
    ETHERTYPE | 0x893F: _tagged(6),  # IEEE 802.1BR
    ETHERTYPE | 0x88E7: _behind(4, LinkType.ETHERNET),  # a backbone's frame (IEEE 802.1ah)
    PROTOCOL | 4: _ip,
    PROTOCOL | 41: _ip,
    PROTOCOL | 47: tunnels.gre,
    PROTOCOL | 97: _behind(2, LinkType.ETHERNET),  # EtherIP, RFC 3378
    PROTOCOL | 137: links.mpls,
    PORT | 1701: tunnels.l2tp,
    PORT | 2152: tunnels.gtp,
    PORT | 3544: tunnels.teredo,
    PORT | 4341: _behind(8, LinkType.RAW),  # LISP
    PORT | 4754: tunnels.gre,
    PORT | 4789: tunnels.vxlan,
    PORT | 4790: tunnels.vxlan,
    PORT | 5247: tunnels.capwap,
    PORT | 6081: tunnels.geneve,
    PORT | 6635: links.mpls,
    PORT | 8472: tunnels.vxlan,
    PORT | 37008: tunnels.tzsp,
}
LAYERS = np.sort(np.array(list(_PEELERS), np.int64))
"""what can be taken off"""
PEELED_PROTOCOLS, TUNNEL_PORTS = np.zeros(1 << 8, bool), np.zeros(1 << 16, bool)
"""whether an IP protocol, or a UDP port, is a layer of these"""
PEELED_PROTOCOLS[LAYERS[LAYERS & PROTOCOL > 0] ^ PROTOCOL] = True
TUNNEL_PORTS[LAYERS[LAYERS & PORT > 0] ^ PORT] = True
