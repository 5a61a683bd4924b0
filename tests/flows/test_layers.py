"""Tunnels and rarer link layers: each made by hand around the same packet, nested, cut anywhere, and of any bytes."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.frames import ACK, ETHERNET, RAW, TCP, UDP, Frame, ip, link, tcp, udp
from flows.test_decode import Seen, decoded
from trace_go.flows.heads import MAX_LAYERS, PORT
from trace_go.flows.layers import LAYERS

V4 = ip("10.1.1.1", "192.0.2.80", TCP, tcp(40001, 443, b"payload", seq=7, ack=9, flags=ACK), ttl=61)
V6 = ip("2001:db8::1", "2001:db8::80", TCP, tcp(40001, 443, b"payload", seq=7, ack=9, flags=ACK), ttl=61)
OUTER = ("198.51.100.1", "198.51.100.2")


def ethertype(packet: bytes) -> int:
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800


def ppp(packet: bytes) -> bytes:
    return (b"\0\x57" if packet[0] >> 4 == 6 else b"\0\x21") + packet


def snap(packet: bytes) -> bytes:
    return b"\xaa\xaa\x03\0\0\0" + struct.pack("!H", ethertype(packet)) + packet


def over_udp(port: int, payload: bytes) -> bytes:
    return ip(*OUTER, UDP, udp(50000, port, payload))


def over_ip(protocol: int, payload: bytes) -> bytes:
    return ip(*OUTER, protocol, payload)


def ether(kind: int, payload: bytes) -> bytes:
    return b"\2" * 12 + struct.pack("!H", kind) + payload


def gre(kind: int, payload: bytes, flags: int = 0, fields: bytes = b"") -> bytes:
    return over_ip(47, struct.pack("!HH", flags, kind) + fields + payload)


def wlan(packet: bytes, *, flags: int = 1, quality: bytes = b"") -> bytes:
    kind = 0x88 if quality else 0x08
    four = b"\3" * 6 if flags & 3 == 3 else b""
    return bytes([kind, flags]) + bytes(2) + b"\2" * 18 + bytes(2) + four + quality + snap(packet)


def amsdu(*packets: bytes) -> bytes:
    frames = b""
    for packet in packets:
        frames += bytes(-len(frames) % 4) + b"\4" * 12 + struct.pack("!H", len(snap(packet))) + snap(packet)
    return bytes([0x88, 1]) + bytes(2) + b"\2" * 18 + bytes(2) + b"\x80\0" + frames


def radiotap(frame: bytes, present: int = 0, fields: bytes = b"", more: bytes = b"") -> bytes:
    body = struct.pack("<I", present) + more + fields
    return struct.pack("<BBH", 0, 0, 4 + len(body)) + body + frame


def rndis(frame: bytes) -> bytes:
    return struct.pack("<11I", 1, 44 + len(frame), 36, len(frame), *[0] * 7) + frame


def ncm(frames: list[bytes], mark: bytes) -> bytes:
    body, entries = b"", b""
    for frame in frames:
        entries += struct.pack("<HH", 12 + len(body), len(frame))
        body += frame + bytes(-len(frame) % 4)
    table = mark + struct.pack("<HH", 8 + len(entries) + 4, 0) + entries + bytes(4)
    return b"NCMH" + struct.pack("<HHHH", 12, 0, 12 + len(body) + len(table), 12 + len(body)) + body + table


def usb(data: bytes, size: int = 64) -> bytes:
    return bytes(8) + b"S\3" + bytes(size - 10) + data


def nflog(packet: bytes, order: str = "<") -> bytes:
    def field(kind: int, value: bytes) -> bytes:
        return struct.pack(f"{order}HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)

    return b"\2\0\0\0" + field(1, bytes(4)) + field(10, b"prefix\0") + field(9, packet)


MPLS_LABELS = b"\0\1\0\x40" + b"\0\2\1\x40"
MADE: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "PPPoE": (ETHERNET, lambda p: ether(0x8864, b"\x11\0\0\1" + struct.pack("!H", len(ppp(p))) + ppp(p))),
    "PPPoE in QinQ": (ETHERNET, lambda p: ether(0x88A8, b"\0\5\x81\0\0\6\x88\x64\x11\0\0\1\0\0" + ppp(p))),
    "MPLS": (ETHERNET, lambda p: ether(0x8847, MPLS_LABELS + p)),
    "MPLS pseudowire": (ETHERNET, lambda p: ether(0x8847, MPLS_LABELS + bytes(4) + link(p))),
    "MPLS pseudowire without a control word": (ETHERNET, lambda p: ether(0x8847, MPLS_LABELS + link(p))),
    "MPLS link": (219, lambda p: MPLS_LABELS + p),
    "LLC": (ETHERNET, lambda p: ether(len(snap(p)), snap(p))),
    "VN-Tag": (ETHERNET, lambda p: ether(0x8926, bytes(4) + struct.pack("!H", ethertype(p)) + p)),
    "802.1BR": (ETHERNET, lambda p: ether(0x893F, bytes(6) + struct.pack("!H", ethertype(p)) + p)),
    "802.1ah": (ETHERNET, lambda p: ether(0x88E7, bytes(4) + link(p))),
    "IP in IP": (RAW, lambda p: over_ip(41 if p[0] >> 4 == 6 else 4, p)),
    "IP in IPv6": (RAW, lambda p: ip("2001:db8::a", "2001:db8::b", 41 if p[0] >> 4 == 6 else 4, p)),
    "EtherIP": (RAW, lambda p: over_ip(97, b"\x30\0" + link(p))),
    "MPLS in IP": (RAW, lambda p: over_ip(137, MPLS_LABELS + p)),
    "GRE": (RAW, lambda p: gre(ethertype(p), p)),
    "GRE with all fields": (RAW, lambda p: gre(ethertype(p), p, 0xB000, bytes(12))),
    "GRE with a bridge": (RAW, lambda p: gre(0x6558, link(p), 0x2000, bytes(4))),
    "PPTP": (RAW, lambda p: gre(0x880B, b"\xff\3" + ppp(p), 0x3081, bytes(12))),
    "ERSPAN I": (RAW, lambda p: gre(0x88BE, link(p))),
    "ERSPAN II": (RAW, lambda p: gre(0x88BE, bytes(8) + link(p), 0x1000, bytes(4))),
    "ERSPAN III": (RAW, lambda p: gre(0x22EB, bytes(12) + link(p), 0x1000, bytes(4))),
    "ERSPAN III with a subheader": (
        RAW,
        lambda p: gre(0x22EB, bytes(11) + b"\1" + bytes(8) + link(p), 0x1000, bytes(4)),
    ),
    "VXLAN": (RAW, lambda p: over_udp(4789, b"\x08\0\0\0\0\0\7\0" + link(p))),
    "VXLAN of old Linux": (RAW, lambda p: over_udp(8472, b"\x08\0\0\0\0\0\7\0" + link(p))),
    "VXLAN-GPE": (RAW, lambda p: over_udp(4790, bytes([0x0C, 0, 0, 2 if p[0] >> 4 == 6 else 1]) + bytes(4) + p)),
    "GENEVE": (RAW, lambda p: over_udp(6081, b"\2\0\x65\x58\0\0\1\0" + bytes(8) + link(p))),
    "GENEVE with IP": (RAW, lambda p: over_udp(6081, b"\0\0" + struct.pack("!H", ethertype(p)) + bytes(4) + p)),
    "GTP-U": (RAW, lambda p: over_udp(2152, b"\x30\xff" + struct.pack("!HI", len(p), 5) + p)),
    "GTP-U with extensions": (
        RAW,
        lambda p: over_udp(2152, b"\x34\xff\0\0\0\0\0\5" + b"\0\0\0\x85" + b"\1\0\0\x40" + b"\2" + bytes(7) + p),
    ),
    "L2TP": (RAW, lambda p: over_udp(1701, b"\0\2\0\1\0\2" + b"\xff\3" + ppp(p))),
    "L2TP with all fields": (
        RAW,
        lambda p: over_udp(1701, b"\x4a\2\0\0\0\1\0\2" + bytes(4) + b"\0\3abc" + ppp(p)),
    ),
    "Teredo": (RAW, lambda p: over_udp(3544, b"\0\1\0\0" + bytes(9) + bytes(8) + p)),
    "LISP": (RAW, lambda p: over_udp(4341, bytes(8) + p)),
    "GRE in UDP": (RAW, lambda p: over_udp(4754, struct.pack("!HH", 0, ethertype(p)) + p)),
    "MPLS in UDP": (RAW, lambda p: over_udp(6635, MPLS_LABELS + p)),
    "CAPWAP": (RAW, lambda p: over_udp(5247, b"\0\x10\2\0" + bytes(4) + link(p))),
    "CAPWAP with 802.11": (RAW, lambda p: over_udp(5247, b"\0\x10\3\0" + bytes(4) + wlan(p))),
    "CAPWAP of Cisco": (
        RAW,
        lambda p: over_udp(5247, b"\0\x10\3\0" + bytes(4) + bytes([1, 8]) + wlan(p)[2:22] + b"\x76\x30" + wlan(p)[24:]),
    ),
    "TZSP": (RAW, lambda p: over_udp(37008, b"\1\0\0\1" + b"\0" + b"\x0a\1x" + b"\1" + link(p))),
    "PPP": (9, ppp),
    "PPP with address": (9, lambda p: b"\xff\3" + ppp(p)),
    "PPP with a short protocol": (9, lambda p: b"\xff\3" + ppp(p)[1:]),
    "PPP multilink": (9, lambda p: b"\0\x3d\xc0\0\0\1" + ppp(p)),
    "PPP with direction of pppd": (166, lambda p: b"\1\3" + ppp(p)),
    "PPP with direction": (204, lambda p: b"\1\xff\3" + ppp(p)),
    "PPP over a serial line": (50, lambda p: b"\xff\3" + ppp(p)),
    "Cisco HDLC over a serial line": (50, lambda p: b"\x0f\0" + struct.pack("!H", ethertype(p)) + p),
    "Cisco HDLC": (104, lambda p: b"\x0f\0" + struct.pack("!H", ethertype(p)) + p),
    "PPPoE link": (51, lambda p: b"\x11\0\0\1\0\0" + ppp(p)),
    "Frame Relay": (107, lambda p: b"\x18\x41\3" + (b"\x8e" if p[0] >> 4 == 6 else b"\xcc") + p),
    "Frame Relay with SNAP": (107, lambda p: b"\x18\x40\1\3\0\x80\0\0\0" + struct.pack("!H", ethertype(p)) + p),
    "Frame Relay of Cisco": (107, lambda p: b"\x18\x41" + struct.pack("!H", ethertype(p)) + p),
    "ATM": (100, snap),
    "FDDI": (10, lambda p: b"\x50" + b"\2" * 12 + snap(p)),
    "802.11": (105, wlan),
    "802.11 of four addresses": (105, lambda p: wlan(p, flags=3)),
    "802.11 with quality of service": (105, lambda p: wlan(p, quality=b"\0\0")),
    "802.11 with HT control": (105, lambda p: wlan(p, flags=0x81, quality=b"\0\0" + bytes(4))),
    "802.11 aggregate": (105, amsdu),
    "radiotap": (127, lambda p: radiotap(wlan(p))),
    "radiotap with fields": (127, lambda p: radiotap(wlan(p), 3, bytes(8) + b"\x10")),
    "radiotap with a padded header": (
        127,
        lambda p: radiotap(wlan(p, quality=b"\0\0\0\0"), 0x80000002, b"\x20", b"\0\0\0\0"),
    ),
    "Prism": (119, lambda p: struct.pack("<II", 0x44, 144) + bytes(136) + wlan(p)),
    "AVS": (163, lambda p: struct.pack(">II", 0x80211001, 64) + bytes(56) + wlan(p)),
    "PPI": (192, lambda p: struct.pack("<BBHI", 0, 0, 12, 105) + bytes(4) + wlan(p)),
    "PKTAP": (258, lambda p: struct.pack("<III", 108, 1, 1) + bytes(96) + link(p)),
    "PKTAP as macOS wrote it": (149, lambda p: struct.pack("<III", 108, 1, 12) + bytes(96) + p),
    "NFLOG": (239, nflog),
    "NFLOG of a big-endian host": (239, lambda p: nflog(p, ">")),
    "preamble": (274, lambda p: b"\x55" * 7 + b"\xd5" + link(p)),
    "RNDIS": (220, lambda p: usb(rndis(link(p)))),
    "RNDIS in usbmon's old form": (189, lambda p: usb(rndis(link(p)), 48)),
    "ECM": (220, lambda p: usb(link(p))),
    "NCM": (220, lambda p: usb(ncm([link(p)], b"NCM0"))),
    "MBIM": (220, lambda p: usb(ncm([p], b"IPS\0"))),
    "USBPcap": (249, lambda p: struct.pack("<H", 27) + bytes(20) + b"\3" + bytes(4) + rndis(link(p))),
    "IP over FireWire": (138, lambda p: b"\2" * 16 + struct.pack("!H", ethertype(p)) + p),
    "Broadcom tag": (281, lambda p: link(p)[:12] + bytes(4) + link(p)[12:]),
    "DSA tag": (284, lambda p: link(p)[:12] + bytes(4) + link(p)[12:]),
    "EDSA tag": (285, lambda p: link(p)[:12] + b"\xda\xda" + bytes(6) + link(p)[12:]),
}
ONLY_V4: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "ARCNET": (129, lambda p: b"\1\2\0\0\xd4\0\0\7" + p),
    "ARCNET of RFC 1051": (129, lambda p: b"\1\2\0\0\xf0" + p),
    "ARCNET of BSD": (7, lambda p: b"\1\2\xd4\0\0\7" + p),
    "IP's own service access point": (100, lambda p: b"\6\6\3" + p),
    "WCCP": (RAW, lambda p: gre(0x883E, bytes(4) + p)),
    "authentication header": (RAW, lambda p: over_ip(51, b"\6\4" + bytes(22) + p[20:])),
}
CASES = [
    *(pytest.param(*MADE[name], V4, id=name) for name in MADE if name != "Teredo"),
    *(pytest.param(*MADE[name], V6, id=f"{name}, IPv6") for name in MADE),
    *(pytest.param(*ONLY_V4[name], V4, id=name) for name in ONLY_V4),
]


def told(seen: Seen) -> tuple[object, ...]:
    return (seen.sport, seen.dport, seen.seq, seen.ack, seen.flags, seen.payload, seen.length)


WANTED = (40001, 443, 7, 9, ACK, b"payload", 7)


@pytest.mark.parametrize(("linktype", "make", "packet"), CASES)
def test_the_innermost_packet_is_seen(linktype: int, make: Callable[[bytes], bytes], packet: bytes) -> None:
    (seen,) = decoded([Frame(make(packet), linktype=linktype)])
    assert told(seen) == WANTED


@pytest.mark.parametrize(("linktype", "make", "packet"), CASES)
def test_cut_anywhere(linktype: int, make: Callable[[bytes], bytes], packet: bytes) -> None:
    """Nothing is made up of a packet that was cut: what is seen has the right numbers and a prefix of its data."""
    whole = Frame(make(packet), linktype=linktype)
    for size in range(len(whole.data)):
        for seen in decoded([whole.cut(size), whole]):
            if (seen.sport, seen.dport) != WANTED[:2]:
                assert seen.protocol == UDP  # the tunnel itself
            else:
                assert WANTED[5].startswith(seen.payload)
                assert told(seen)[:5] == WANTED[:5]


def test_all_frames_of_an_aggregate() -> None:
    other = ip("10.9.9.9", "192.0.2.80", UDP, udp(5, 6, b"abc"))
    for linktype, frame in (
        (105, amsdu(V4, other, V6)),
        (220, usb(ncm([link(V4), link(other), link(V6)], b"NCM0"))),
        (220, usb(rndis(link(V4)) + rndis(link(other)) + rndis(link(V6)))),
    ):
        seen = decoded([Frame(frame, linktype=linktype)])
        assert [(one.number, one.sport) for one in seen] == [(1, 40001), (1, 5), (1, 40001)]


def test_tunnels_in_tunnels_up_to_a_limit() -> None:
    packet, depths = V4, {}
    for depth in range(1, 2 * MAX_LAYERS):
        packet = over_ip(4, packet)
        depths[depth] = len(decoded([Frame(packet, linktype=RAW)]))
    assert depths == {depth: int(depth <= MAX_LAYERS) for depth in depths}


def test_packets_around_a_tunnel_stay_in_order() -> None:
    plain = Frame(link(V4))
    tunnel = Frame(link(over_udp(4789, b"\x08\0\0\0\0\0\7\0" + link(V6))))
    seen = decoded([plain, tunnel, plain, tunnel, plain])
    assert [one.number for one in seen] == [1, 2, 3, 4, 5]
    assert [":" in one.src for one in seen] == [False, True, False, True, False]


@pytest.mark.parametrize("port", sorted(layer ^ PORT for layer in LAYERS.tolist() if layer & PORT and layer < 2 * PORT))
def test_other_datagrams_on_a_port_of_tunnels_stay(port: int) -> None:
    query = bytes.fromhex("abcd01000001000000000000") + b"\7example\0\0\1\0\1"
    for made in (udp(port, 53, query), udp(53, port, query)):
        (seen,) = decoded([Frame(link(ip("10.0.0.2", "10.0.0.1", UDP, made)))])
        assert seen.payload == query


@pytest.mark.parametrize(
    "frame",
    [
        bytes([0x08, 0x41]) + wlan(V4)[2:],  # encrypted
        bytes([0x48, 0x01]) + wlan(V4)[2:],  # without data
        bytes([0x80, 0x00]) + wlan(V4)[2:],  # a beacon
        wlan(V4)[:22] + b"\1\0" + wlan(V4)[24:],  # the second piece
        bytes([0x08, 0x05]) + wlan(V4)[2:],  # the first piece
    ],
)
def test_wlan_frames_without_a_packet(frame: bytes) -> None:
    assert decoded([Frame(frame, linktype=105)]) == []


links = sorted(layer for layer in LAYERS.tolist() if layer < 1 << 16)


@given(st.lists(st.tuples(st.binary(max_size=120), st.sampled_from([*links, 138, 281, 284, 285])), max_size=20))
def test_any_bytes(sample: list[tuple[bytes, int]]) -> None:
    decoded([Frame(data, linktype=linktype) for data, linktype in sample])


@given(st.sampled_from([param.values for param in CASES]), st.data())
def test_damage(case: tuple[int, Callable[[bytes], bytes], bytes], data: st.DataObject) -> None:
    linktype, make, packet = case
    blob = bytearray(make(packet))
    for _ in range(data.draw(st.integers(1, 6))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(blob)))
    for seen in decoded([Frame(bytes(blob[:cut]), linktype=linktype, length=len(blob))]):
        assert 0 <= len(seen.payload) <= cut
        assert np.iinfo(np.int64).min < seen.length
