"""IP fragments: in any order, copied, overlapping, incomplete, cut, and floods of them."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.dns_talks import query, reply
from flows.frames import RAW, START_NS, TCP, UDP, Frame, batches, engine_of, ip, link, tcp, traffic, udp
from flows.test_decode import decoded
from trace_go.flows import fragments
from trace_go.flows.decode import State, decode
from trace_go.flows.fragments import MAX_WAITING_BYTES, PATIENCE_NS

ENDS = ("192.0.2.53", "10.0.0.2")
ENDS6 = ("2001:db8::53", "2001:db8::2")
BODY = udp(53, 5000, bytes(range(256)) * 8)


def pieces(body: bytes, size: int = 512, *, six: bool = False, number: int = 7, protocol: int = UDP) -> list[bytes]:
    """IP packets with `size` bytes of the body each."""
    made = []
    for at in range(0, len(body), size):
        more, part = at + size < len(body), body[at : at + size]
        if six:
            header = struct.pack("!BBHI", 0, 0, at | more, number)
            made.append(ip(*ENDS6, protocol, part, extensions=[(44, header)]))
        else:
            packet = ip(*ENDS, protocol, part, fragment=at // 8 | more << 13)
            made.append(packet[:4] + number.to_bytes(2, "big") + packet[6:])
    return made


def frames(packets: Sequence[bytes], step_ns: int = 1000) -> list[Frame]:
    return [Frame(link(packet), START_NS + at * step_ns) for at, packet in enumerate(packets)]


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [0, 0, 1, 2, 1, 3, 4, 4]])
@pytest.mark.parametrize("sizes", [(), (1,) * 8])
def test_whole_in_any_order(order: list[int], six: bool, sizes: tuple[int, ...]) -> None:
    parts = pieces(BODY, six=six)
    sample = frames([parts[place] for place in order])
    first = decoded(sample, *sizes)[0]
    last = max(order.index(place) for place in range(5)) + 1
    assert (first.number, first.payload, first.length) == (last, BODY[8:], len(BODY) - 8)


def test_datagrams_do_not_mix() -> None:
    one, two = pieces(BODY, number=1), pieces(bytes(8) + BODY[8:], number=2)
    mixed = [part for pair in zip(one, two, strict=True) for part in pair]
    assert [seen.sport for seen in decoded(frames(mixed))] == [53, 0]


@pytest.mark.parametrize("six", [False, True])
def test_overlapping_fragments_spoil_the_datagram(six: bool) -> None:
    parts, other = pieces(BODY, six=six), pieces(b"\xff" * len(BODY), 520, six=six)
    assert decoded(frames([parts[0], other[1], *parts[1:]])) == []


def test_two_ends_spoil_the_datagram() -> None:
    parts = pieces(BODY)
    longer = pieces(BODY + bytes(512))[-1]
    assert decoded(frames([*parts[:-1], longer, parts[-1]])) == []


def test_the_first_piece_of_what_stays_in_pieces_is_seen_in_the_end() -> None:
    (seen,) = decoded(frames(pieces(BODY)[:3]))
    assert (seen.number, seen.payload) == (1, BODY[8:512])
    assert decoded(frames(pieces(BODY)[1:])) == []


def test_a_datagram_is_not_waited_for_longer_than_a_host_waits() -> None:
    parts = pieces(BODY)
    late = [*frames(parts[:-1]), Frame(link(parts[-1]), START_NS + PATIENCE_NS + 1)]
    assert [(seen.number, len(seen.payload)) for seen in decoded(late)] == [(1, 504)]


def test_bytes_cut_by_the_snap_length_end_the_payload() -> None:
    whole = frames(pieces(BODY))
    for place, seen_bytes in ((0, 152), (2, 1176)):
        (seen,) = decoded([*whole[:place], whole[place].cut(14 + 20 + 160), *whole[place + 1 :]])
        assert (seen.payload, seen.length) == (BODY[8:][:seen_bytes], len(BODY) - 8)


def test_a_packet_larger_than_any_is_dropped() -> None:
    huge = pieces(bytes(65_520) + bytes(64), 32_760)
    assert decoded(frames(huge)) == []


def test_tunnels_in_fragments_and_fragments_in_tunnels() -> None:
    inner = ip("10.1.1.1", "192.0.2.80", TCP, tcp(40001, 443, b"payload" * 200))
    outer = pieces(inner, 400, protocol=4)
    (seen,) = decoded(frames(outer))
    assert (seen.number, seen.sport, seen.payload) == (len(outer), 40001, b"payload" * 200)
    wrapped = [ip("198.51.100.1", "198.51.100.2", 4, part) for part in pieces(BODY)]
    (seen,) = decoded([Frame(part, linktype=RAW) for part in wrapped])
    assert seen.payload == BODY[8:]


def test_a_dns_answer_in_fragments() -> None:
    answer = udp(53, 5000, reply(7, "a.example", [f"192.0.2.{n}" for n in range(1, 60)]))
    asked = Frame(link(ip("10.0.0.2", "192.0.2.53", UDP, udp(5000, 53, query(7, "a.example")))), START_NS - 1000)
    (found,) = traffic([asked, *frames(pieces(answer, 256))]).lookups
    assert (found.rcode, len(found.addresses), found.answer_packets) == ("NOERROR", 59, (len(pieces(answer, 256)) + 1,))


def test_finishing_twice_delivers_a_first_piece_once() -> None:
    engine = engine_of(frames(pieces(BODY)[:2]))
    assert [[flow.bytes_up + flow.bytes_down for flow in engine.finish().flows] for _ in range(2)] == [[504], [504]]


def test_a_flood_keeps_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragments, "MAX_WAITING_BYTES", 100_000)
    state = State()
    for start in range(0, 4000, 500):
        flood = [pieces(BODY, number=number)[1] for number in range(start, start + 500)]
        for batch in batches(frames(flood)):
            decode(batch, state)
        assert state.fragments._kept <= 100_000
        assert state.fragments._kept == sum(one.kept for one in state.fragments._waiting.values())
    assert MAX_WAITING_BYTES == 4 << 20


@given(st.data(), st.booleans())
def test_any_fragments(data: st.DataObject, six: bool) -> None:
    made = []
    for _ in range(data.draw(st.integers(1, 12))):
        body = data.draw(st.binary(max_size=64))
        at, more = data.draw(st.integers(0, 12)) * 8, data.draw(st.booleans())
        packet = (
            ip(*ENDS6, UDP, body, extensions=[(44, struct.pack("!BBHI", 0, 0, at | more, 7))])
            if six
            else ip(*ENDS, UDP, body, fragment=at // 8 | more << 13)
        )
        made.append(Frame(link(packet), START_NS + data.draw(st.integers(0, 60)) * 10**9))
    for seen in decoded(made):
        assert 1 <= seen.number <= len(made)
        assert len(seen.payload) <= seen.length
