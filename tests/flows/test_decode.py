"""decode against a slow reader of one packet at a time, against scapy, and against random bytes."""

import ipaddress
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flows.frames import (
    ACK,
    ETHERNET,
    ICMP,
    ICMPV6,
    LOOP,
    NULL,
    RAW,
    SLL,
    SLL2,
    SYN,
    TCP,
    UDP,
    Frame,
    batches,
    icmp,
    ip,
    link,
    tcp,
    udp,
)
from trace_go.flows.decode import State, decode


class Seen(NamedTuple):
    """One transport packet."""

    number: int
    time_ns: int
    protocol: int
    src: str
    dst: str
    sport: int
    dport: int
    ttl: int
    seq: int
    ack: int
    flags: int
    payload: bytes
    length: int


def decoded(frames: list[Frame], *sizes: int) -> list[Seen]:
    state, seen = State(), []
    addresses = state.addresses
    given = batches(frames, *sizes)
    for batch in (*given, None):
        if batch is None and (batch := state.fragments.leftovers()) is None:
            break
        data, found = decode(batch, state)
        columns = (getattr(found, name).tolist() for name in found.__struct_fields__)
        for number, time_ns, protocol, src, dst, *fields, payload, captured, length in zip(*columns, strict=True):
            ends = [str(ipaddress.ip_address(addresses.packed(end))) for end in (src, dst)]
            seen.append(
                Seen(number, time_ns, protocol, *ends, *fields, data[payload : payload + captured].tobytes(), length)
            )
    return seen


# -- the slow reader ---------------------------------------------------------------------------------------------------


def uint(data: bytes) -> int:
    return int.from_bytes(data, "big")


def slow(frames: list[Frame]) -> list[Seen]:
    """Of packets that are no fragments."""
    seen = [slow_one(number, frame) for number, frame in enumerate(frames, 1)]
    return [one for one in seen if isinstance(one, Seen)]


def without_fragments(frames: list[Frame], seen: list[Seen]) -> list[Seen]:
    return [one for one in seen if slow_one(one.number, frames[one.number - 1]) != FRAGMENT]


FRAGMENT = "fragment"


def slow_one(number: int, frame: Frame) -> Seen | str | None:
    data, wire = frame.data, frame.length or len(frame.data)
    at = slow_link(data, frame.linktype)
    if at is None:
        return None
    start, version = at
    head = data[start:]
    if version == 4:
        if len(head) < 20 or head[0] >> 4 != 4 or head[0] & 15 < 5:
            return None
        size, room = uint(head[2:4]) or wire - start, wire - start
        size, l4, protocol, ttl = min(size, room), (head[0] & 15) * 4, head[9], head[8]
        src, dst = head[12:16], head[16:20]
        if l4 > size:
            return None
        if uint(head[6:8]) & 0x3FFF:
            return FRAGMENT
        if protocol == 51 and l4 + 12 <= min(len(head), size):
            protocol, l4 = head[l4], l4 + (head[l4 + 1] + 2) * 4
    else:
        if len(head) < 40 or head[0] >> 4 != 6:
            return None
        size, l4, protocol, ttl = min(uint(head[4:6]) + 40, wire - start), 40, head[6], head[7]
        if not uint(head[4:6]):
            size = wire - start
        src, dst = head[8:24], head[24:40]
        for _ in range(8):
            if protocol not in (0, 43, 44, 51, 60, 135, 139, 140) or l4 + 8 > len(head):
                break
            if protocol == 44 and uint(head[l4 + 2 : l4 + 4]) & 0xFFF9:
                return FRAGMENT
            step = {44: 8, 51: (head[l4 + 1] + 2) * 4}.get(protocol, (head[l4 + 1] + 1) * 8)
            protocol, l4 = head[l4], l4 + step
    need = 20 if protocol == TCP else 8
    if protocol not in (TCP, UDP, ICMP, ICMPV6) or l4 + need > min(len(head), size):
        return None
    body = head[l4:]
    sport = dport = seq = ack = flags = skip = 0
    if protocol in (TCP, UDP):
        sport, dport, skip = uint(body[:2]), uint(body[2:4]), 8
    if protocol == TCP:
        seq, ack, flags, skip = uint(body[4:8]), uint(body[8:12]), body[13], (body[12] >> 4) * 4
        if skip < 20 or l4 + skip > size:
            return None
    ends = (str(ipaddress.ip_address(src)), str(ipaddress.ip_address(dst)))
    payload = head[l4 + skip : size]
    return Seen(
        number, max(frame.time_ns, 1), protocol, *ends, sport, dport, ttl, seq, ack, flags, payload, size - l4 - skip
    )


def slow_link(data: bytes, linktype: int) -> tuple[int, int] | None:
    if len(data) < 4:
        return None
    if linktype in (RAW, 12, 14, 228, 229):
        return (0, data[0] >> 4) if data[0] >> 4 in (4, 6) else None
    if linktype in (NULL, LOOP):
        return (4, data[4] >> 4) if data[4:] and data[4] >> 4 in (4, 6) else None
    layout = {ETHERNET: (12, 14), SLL: (14, 16), SLL2: (0, 20)}.get(linktype)
    if layout is None or len(data) < layout[1]:
        return None
    kind, at = uint(data[layout[0] : layout[0] + 2]), layout[1]
    for _ in range(4):
        if kind not in (0x8100, 0x88A8, 0x9100) or len(data) < at + 4:
            break
        kind, at = uint(data[at + 2 : at + 4]), at + 4
    version = {0x0800: 4, 0x86DD: 6}.get(kind)
    return (at, version) if version else None


# -- random packets ----------------------------------------------------------------------------------------------------

ports, numbers = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
payloads = st.binary(max_size=60)
words = st.integers(0, 10).map(lambda count: b"\1" * 4 * count)
options8 = st.tuples(
    st.just(0) | st.just(43) | st.just(60), st.integers(0, 2).map(lambda n: bytes([0, n]) + bytes(8 * n + 6))
)
authentication = st.tuples(st.just(51), st.integers(1, 4).map(lambda n: bytes([0, n]) + bytes(4 * n + 6)))
fragments = st.tuples(
    st.just(44), st.sampled_from([0, 1, 8, 0x100]).map(lambda at: b"\0\0" + at.to_bytes(2, "big") + bytes(4))
)
transports = st.one_of(
    st.tuples(
        st.just(TCP),
        st.builds(tcp, ports, ports, payloads, seq=numbers, ack=numbers, flags=st.integers(0, 255), options=words),
    ),
    st.tuples(st.just(UDP), st.builds(udp, ports, ports, payloads)),
    st.tuples(st.sampled_from([ICMP, ICMPV6]), st.builds(icmp, st.integers(0, 255), st.integers(0, 255), payloads)),
    st.tuples(st.sampled_from([2, 47, 50, 132]), payloads),
)
v4, v6 = st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    protocol, body = draw(transports)
    total = draw(st.none() | st.just(0) | st.integers(0, 200))
    if draw(st.booleans()):
        packet = ip(
            draw(v4), draw(v4), protocol, body,
            ttl=draw(st.integers(0, 255)), options=draw(words), total=total,
            fragment=draw(st.sampled_from([0, 0, 0x4000, 0x2000, 7])),
        )  # fmt: skip
    else:
        extensions = draw(st.lists(options8 | authentication | fragments, max_size=3))
        packet = ip(draw(v6), draw(v6), protocol, body, extensions=extensions, total=total)
    linktype = draw(st.sampled_from([ETHERNET, ETHERNET, SLL, SLL2, NULL, LOOP, RAW, 12, 228, 229, 147]))
    tags = draw(st.lists(st.sampled_from([0x8100, 0x88A8, 0x9100]), max_size=5))
    known = {12: RAW, 228: RAW, 229: RAW, 147: ETHERNET}.get(linktype, linktype)
    data = link(packet, known, tags=tags) + draw(st.sampled_from([b"", b"", bytes(6)]))
    frame = Frame(data, draw(st.integers(-1, 2**60)), linktype)
    if draw(st.booleans()):
        frame = frame.cut(draw(st.integers(0, len(data))))
    if draw(st.integers(0, 4)) == 0:  # damage
        place = draw(st.integers(0, max(0, len(frame.data) - 1)))
        data = frame.data[:place] + draw(st.binary(min_size=1, max_size=2)) + frame.data[place + 2 :]
        frame = Frame(data, frame.time_ns, linktype, max(frame.length or 0, len(data)))
    return frame


@given(st.lists(frames(), max_size=12))
def test_decodes_as_the_slow_reader_does(sample: list[Frame]) -> None:
    assert without_fragments(sample, decoded(sample)) == slow(sample)


@given(st.lists(frames(), max_size=12), st.lists(st.integers(1, 4), max_size=4))
def test_batches_make_no_difference(sample: list[Frame], sizes: list[int]) -> None:
    """Except that the first piece of a datagram that stays in pieces may be found later."""
    assert sorted(decoded(sample, *sizes)) == sorted(decoded(sample))


@given(
    st.lists(
        st.tuples(st.binary(max_size=90), st.sampled_from([-1, 0, 1, 2, 12, 14, 101, 108, 113, 228, 229, 276])),
        max_size=20,
    )
)
def test_random_bytes(sample: list[tuple[bytes, int]]) -> None:
    made = [Frame(data, linktype=linktype) for data, linktype in sample]
    assert without_fragments(made, decoded(made)) == slow(made)


# -- the cases by name -------------------------------------------------------------------------------------------------

BODY = tcp(40001, 443, b"payload", seq=7, ack=9, flags=SYN | ACK, options=b"\2\4\5\xb4")
V4 = ip("10.0.0.2", "192.0.2.80", TCP, BODY, ttl=61)
V6 = ip("2001:db8::", "2001:db8::100", TCP, BODY, ttl=61)


@pytest.mark.parametrize("packet", [V4, V6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    ("linktype", "tags"),
    [
        (ETHERNET, ()),
        (ETHERNET, (0x8100,)),
        (ETHERNET, (0x88A8, 0x8100)),
        (SLL, ()),
        (SLL, (0x8100,)),
        (SLL2, ()),
        (NULL, ()),
        (LOOP, ()),
        (RAW, ()),
    ],
)
def test_links(packet: bytes, linktype: int, tags: tuple[int, ...]) -> None:
    (seen,) = decoded([Frame(link(packet, linktype, tags=tags), linktype=linktype)])
    assert (seen.sport, seen.dport, seen.seq, seen.ack, seen.flags) == (40001, 443, 7, 9, SYN | ACK)
    assert (seen.payload, seen.length, seen.ttl) == (b"payload", 7, 61)


@pytest.mark.parametrize("family", ["00000002", "02000000", "0f000800"])
def test_null_families(family: str) -> None:
    """Of a big-endian host, of a little-endian one, and an odd one seen in the wild."""
    (seen,) = decoded([Frame(bytes.fromhex(family) + V4, linktype=NULL)])
    assert seen.payload == b"payload"


def test_padding_is_no_payload() -> None:
    (seen,) = decoded([Frame(link(ip("10.0.0.2", "10.0.0.3", TCP, tcp(1, 2))) + bytes(6))])
    assert (seen.payload, seen.length) == (b"", 0)


def test_length_zero_of_an_offloaded_packet() -> None:
    big = tcp(1, 2, bytes(3000))
    both = [ip("10.0.0.2", "10.0.0.3", TCP, big, total=0), ip("2001:db8::1", "2001:db8::2", TCP, big, total=0)]
    assert [seen.length for seen in decoded([Frame(link(packet)) for packet in both])] == [3000, 3000]


def test_snap_length_keeps_the_length_on_the_wire() -> None:
    whole = Frame(link(ip("10.0.0.2", "10.0.0.3", TCP, tcp(1, 2, b"0123456789"))))
    for left in range(11):
        (seen,) = decoded([whole.cut(54 + left)])
        assert (seen.payload, seen.length) == (b"0123456789"[:left], 10)
    assert decoded([whole.cut(53)]) == []


def test_addresses_ending_in_zero_bytes_stay_apart() -> None:
    ends = ["2001:db8::", "2001:db8:0:1::", "::", "0.0.0.0", "::1"]
    sample = [Frame(link(ip(end, end, UDP, udp(1, 2)))) for end in ends]
    assert [seen.src for seen in decoded(sample)] == ends


def test_data_without_room_behind_the_last_packet_is_copied_only_then() -> None:
    (batch,) = batches([Frame(link(V4))])
    roomy = replace(batch, data=np.concatenate([batch.data, np.zeros(64, np.uint8)]))
    assert decode(roomy, State())[0] is roomy.data
    assert decode(batch, State())[0] is not batch.data


# -- scapy -------------------------------------------------------------------------------------------------------------


def test_scapy_agrees() -> None:
    from scapy.layers import inet, inet6, l2  # slow to import, and used here only

    udp_, payload = inet.UDP(sport=5353, dport=53), b"question"
    tcp_ = inet.TCP(sport=1234, dport=443, seq=5, ack=6, flags="PA", options=[("MSS", 1460), ("WScale", 7)])
    v4 = inet.IP(src="198.51.100.7", dst="203.0.113.9", ttl=33)
    v6 = inet6.IPv6(src="2001:db8::7", dst="2001:db8::9", hlim=33)
    ether, tag = l2.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02"), l2.Dot1Q(vlan=7)
    made = [
        ether / v4 / tcp_ / payload,
        ether / tag / v4 / udp_ / payload,
        ether / l2.Dot1AD(vlan=3) / tag / v6 / tcp_ / payload,
        ether / inet.IP(src=v4.src, dst=v4.dst, ttl=33, options=[inet.IPOption_Router_Alert()]) / tcp_ / payload,
        ether / v6 / inet6.IPv6ExtHdrHopByHop(options=[inet6.PadN(optdata=b"123456")]) / udp_ / payload,
        ether / v6 / inet6.IPv6ExtHdrDestOpt() / inet6.IPv6ExtHdrFragment(offset=0, m=0) / tcp_ / payload,
        ether / v6 / inet6.IPv6ExtHdrRouting(addresses=["2001:db8::1"]) / udp_ / payload,
        l2.CookedLinux(proto=0x0800) / v4 / tcp_ / payload,
        l2.CookedLinuxV2(proto=0x86DD) / v6 / udp_ / payload,
        l2.Loopback(type=2) / v4 / tcp_ / payload,
    ]
    links = [ETHERNET] * 7 + [SLL, SLL2, NULL]
    seen = decoded([Frame(bytes(packet), linktype=kind) for packet, kind in zip(made, links, strict=True)])
    assert [one.number for one in seen] == list(range(1, len(made) + 1))
    for one, packet in zip(seen, made, strict=True):
        whole = packet.__class__(bytes(packet))
        network, transport = (
            whole[inet.IP if inet.IP in whole else inet6.IPv6],
            whole[inet.TCP if inet.TCP in whole else inet.UDP],
        )
        assert (one.sport, one.dport, one.ttl) == (transport.sport, transport.dport, 33)
        assert (one.src, one.payload) == (network.src, payload)
        if inet.TCP in whole:
            assert (one.seq, one.ack, one.flags) == (5, 6, int(transport.flags))
