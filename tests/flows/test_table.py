"""The vectorised flow table against one that takes a packet at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.frames import ACK, FIN, RST, SYN, TCP, UDP
from trace_go.flows.decode import Segments
from trace_go.flows.table import FLOW, UDP_KEY, FlowTable


class Packet(NamedTuple):
    src: int
    dst: int
    sport: int = 40001
    dport: int = 443
    flags: int = ACK
    seq: int = 0
    ack: int = 0
    length: int = 0
    protocol: int = TCP
    ttl: int = 64


BYTES = np.zeros(1 << 20, np.uint8)


def segments(packets: Sequence[Packet], first: int = 1) -> Segments:
    columns = {
        name: np.array([getattr(packet, name) for packet in packets], np.int64)
        for name in (*Packet._fields, "length", "protocol", "ttl")
    }
    number = np.arange(first, first + len(packets))
    return Segments(number=number, time_ns=number * 1000, payload=number, captured=columns["length"], **columns)


def table_of(packets: Sequence[Packet], *sizes: int) -> tuple[FlowTable, list[tuple[int, int, int, int]]]:
    """The table after batches of these sizes, and the payload handed out: flow, side, offset, packet number."""
    table, rest, number = FlowTable(), list(packets), 1
    handed = []
    for size in (*sizes, len(rest)):
        part, rest = rest[:size], rest[size:]
        seg = segments(part, number)
        out = table.add(seg, BYTES)
        handed += zip(*(c.tolist() for c in (out.flow, out.side, out.offset, seg.number[out.row])), strict=True)
        number += len(part)
    return table, sorted(handed, key=lambda one: one[3])


# -- the slow table ----------------------------------------------------------------------------------------------------


@dataclass
class Slow:
    """A flow, packet by packet."""

    low: int
    high: int
    client: int
    opening: tuple[int, int]
    first_packet: int
    last_packet: int = 0
    packets: list[int] = field(default_factory=lambda: [0, 0])
    bytes: list[int] = field(default_factory=lambda: [0, 0])
    resent: list[int] = field(default_factory=lambda: [0, 0])
    syn_packet: int = 0
    syn_count: int = 0
    syn_ack_packet: int = 0
    reset_packet: int = 0
    reset_side: int = 0
    resets: list[int] = field(default_factory=lambda: [0, 0])
    first_data_ns: list[int] = field(default_factory=lambda: [0, 0])
    last_data_ns: list[int] = field(default_factory=lambda: [0, 0])
    fin_ns: list[int] = field(default_factory=lambda: [0, 0])
    after_reset_packet: int = 0
    after_reset_ttl: int = 0
    acked: list[int] = field(default_factory=lambda: [0, 0])
    acked_ns: list[int] = field(default_factory=lambda: [0, 0])
    base: list[int | None] = field(default_factory=lambda: [None, None])
    last: list[int] = field(default_factory=lambda: [0, 0])
    reach: list[int] = field(default_factory=lambda: [0, 0])


def slow_table(packets: Sequence[Packet]) -> tuple[list[Slow], list[tuple[int, int, int, int]]]:
    flows: list[Slow] = []
    live: dict[tuple[int, int], int] = {}
    handed = []
    for number, packet in enumerate(packets, 1):
        source, target = (packet.src << 16) | packet.sport, (packet.dst << 16) | packet.dport
        side = int(source > target)
        low, high = min(source, target), max(source, target)
        if packet.protocol == UDP:
            low |= UDP_KEY
        syn, answer = packet.flags & (SYN | ACK) == SYN, packet.flags & (SYN | ACK) == SYN | ACK
        opening = (
            (packet.seq, side)
            if syn
            else ((packet.ack - 1) % 2**32, 1 - side)
            if answer
            else ((packet.seq - 1) % 2**32, side)
        )
        known = live.get((low, high))
        if known is None or (syn and flows[known].opening != opening):
            downward = not packet.flags & SYN and packet.sport < 1024 <= packet.dport
            live[low, high] = known = len(flows)
            flows.append(Slow(low, high, 1 - side if answer or downward else side, opening, number))
        flow = flows[known]
        flow.last_packet = number
        flow.packets[side] += 1
        flow.bytes[side] += packet.length
        flow.syn_count += syn
        flow.resets[side] += bool(packet.flags & RST)
        if syn:
            flow.syn_packet = flow.syn_packet or number
        if answer:
            flow.syn_ack_packet = flow.syn_ack_packet or number
        if packet.flags & RST and not flow.reset_packet:
            flow.reset_packet, flow.reset_side = number, side
        elif flow.reset_packet and side == flow.reset_side and not packet.flags & RST and not flow.after_reset_packet:
            flow.after_reset_packet, flow.after_reset_ttl = number, packet.ttl
        if packet.flags & (ACK | RST) == ACK:
            flow.acked[side], flow.acked_ns[side] = packet.ack, number * 1000
        if packet.flags & FIN:
            flow.fin_ns[side] = flow.fin_ns[side] or number * 1000
        data = packet.length > 0 and not packet.flags & RST
        if data:
            flow.first_data_ns[side] = flow.first_data_ns[side] or number * 1000
            flow.last_data_ns[side] = number * 1000
        if packet.protocol == TCP and (data or packet.flags & SYN):
            begin = packet.seq + bool(packet.flags & SYN)
            base = flow.base[side]
            if base is None:
                base = flow.base[side] = flow.last[side] = flow.reach[side] = begin
            if data:
                step = (begin - flow.last[side]) % 2**32
                begin = flow.last[side] + step - (2**32 if step >= 2**31 else 0)
                end = begin + packet.length
                flow.resent[side] += end < flow.reach[side] or (end == flow.reach[side] and packet.length > 1)
                flow.last[side], flow.reach[side] = begin, max(flow.reach[side], end)
                if end > base:
                    handed.append((known, side, begin - base, number))
    return flows, handed


def check(packets: Sequence[Packet], *sizes: int) -> FlowTable:
    """Both tables agree."""
    table, handed = table_of(packets, *sizes)
    slow, expected = slow_table(packets)
    assert handed == expected
    assert table.count == len(slow)
    for row, flow in zip(table.rows[: table.count], slow, strict=True):
        for name in Slow.__dataclass_fields__:
            if name not in ("opening", "base", "last", "reach"):
                assert row[name].tolist() == getattr(flow, name), name
    return table


sequence = st.sampled_from([0, 1, 100, 110, 2**31, 2**32 - 1, 2**32 - 50]) | st.integers(0, 2**32 - 1)
ENDS = {name: st.integers(1, 2) for name in ("src", "dst")} | {
    name: st.sampled_from([80, 40001]) for name in ("sport", "dport")
}
datagrams = st.tuples(*ENDS.values(), st.integers(0, 9)).map(
    lambda drawn: Packet(*drawn[:4], flags=0, length=drawn[4], protocol=UDP)
)
packets = datagrams | st.builds(
    Packet,
    **ENDS,
    flags=st.sampled_from([SYN, SYN, SYN | ACK, ACK, ACK, ACK, FIN | ACK, RST, RST | ACK, 0]),
    seq=sequence,
    ack=sequence,
    length=st.sampled_from([0, 1, 10, 50]),
    protocol=st.just(TCP),
    ttl=st.integers(1, 255),
)


@given(st.lists(packets, max_size=40), st.lists(st.integers(0, 9), max_size=6))
def test_counts_as_the_slow_table_does(sample: list[Packet], sizes: list[int]) -> None:
    check(sample, *sizes)


def test_empty() -> None:
    table, handed = table_of([])
    assert (table.count, handed) == (0, [])


def test_many_flows_grow_the_table() -> None:
    table = check([Packet(1, 2, sport=port, flags=SYN) for port in range(3000)], 1000, 5)
    assert table.rows["low"][: table.count].tolist() == [(1 << 16) | port for port in range(3000)]


# -- what is one flow --------------------------------------------------------------------------------------------------

UP, DOWN = {"src": 1, "dst": 2}, {"src": 2, "dst": 1, "sport": 443, "dport": 40001}


def test_a_new_syn_opens_a_new_flow_also_within_a_batch() -> None:
    sample = [
        Packet(**UP, flags=SYN, seq=10),
        Packet(**DOWN, flags=SYN | ACK, seq=70, ack=11),
        Packet(**UP, flags=SYN, seq=5000),
        Packet(**DOWN, flags=SYN | ACK, seq=90, ack=5001),
        Packet(**UP, flags=SYN, seq=10),
    ]
    for sizes in ((), (1, 1, 1, 1), (2,), (3,)):
        table = check(sample, *sizes)
        assert table.rows["first_packet"][: table.count].tolist() == [1, 3, 5]
        assert table.rows["syn_ack_packet"][: table.count].tolist() == [2, 4, 0]


def test_a_repeated_syn_does_not() -> None:
    for sizes in ((), (1, 1), (2,)):
        table = check([Packet(**UP, flags=SYN, seq=10)] * 3, *sizes)
        assert (table.count, table.rows["syn_count"][0]) == (1, 3)


def test_a_syn_captured_after_its_answer_does_not() -> None:
    sample = [Packet(**DOWN, flags=SYN | ACK, seq=70, ack=11), Packet(**UP, flags=SYN, seq=10)]
    for sizes in ((), (1,)):
        table = check(sample, *sizes)
        assert (table.count, table.rows["client"][0], table.rows["syn_packet"][0]) == (1, 0, 2)


def test_a_syn_after_the_middle_of_a_conversation_does() -> None:
    sample = [Packet(**UP, seq=500, length=5), Packet(**UP, flags=SYN, seq=10)]
    assert check(sample).count == check(sample, 1).count == 2


def test_who_is_the_client_without_a_syn() -> None:
    """The side with the higher port when the lower is below 1024; the first speaker otherwise."""
    for packet, client in (
        (Packet(**DOWN), 0),
        (Packet(**UP), 0),
        (Packet(2, 1, sport=8443, dport=40001), 1),
        (Packet(**DOWN, flags=SYN | ACK), 0),
    ):
        assert check([packet]).rows["client"][0] == client


def test_sequence_numbers_wrap() -> None:
    sample = [
        Packet(**UP, flags=SYN, seq=2**32 - 11),
        *(Packet(**UP, seq=(2**32 - 10 + at) % 2**32, length=5) for at in (0, 5, 10, 15, 5)),
    ]
    table, handed = table_of(sample)
    assert [offset for _, _, offset, _ in handed] == [0, 5, 10, 15, 5]
    assert table.rows["resent"][0].tolist() == [1, 0]
    check(sample, 3)


def test_a_long_stream_within_one_batch() -> None:
    """60 KiB super-packets, cut by the snap length: 6 GiB in one batch."""
    sample = [Packet(**UP, seq=at * 61_440 % 2**32, length=61_440) for at in range(100_000)]
    table, handed = table_of(sample)
    assert handed[-1][2] == 99_999 * 61_440
    assert table.rows["resent"][0].tolist() == [0, 0]


def test_keep_alives_are_no_retransmissions() -> None:
    sample = [Packet(**UP, seq=0, length=10), Packet(**UP, seq=9, length=1), Packet(**UP, seq=9, length=0)]
    assert check(sample).rows["resent"][0].tolist() == [0, 0]
    assert check([*sample, Packet(**UP, seq=0, length=10)], 1).rows["resent"][0].tolist() == [1, 0]


def test_payload_of_a_reset_is_not_part_of_the_stream() -> None:
    table, handed = table_of([Packet(**UP, seq=0, length=10), Packet(**DOWN, flags=RST, length=7)])
    assert [number for *_, number in handed] == [1]
    assert table.rows["first_data_ns"][0].tolist() == [1000, 0]


def test_closed_and_read_streams_are_not_handed_out() -> None:
    table = FlowTable()
    table.add(segments([Packet(**UP, flags=SYN), Packet(**DOWN, flags=SYN | ACK)]), BYTES)
    table.rows["position"][0] = (10, 0)
    table.rows["open"][0] = (1, 0)
    sample = [Packet(**UP, seq=1, length=10), Packet(**UP, seq=1, length=11), Packet(**DOWN, seq=1, length=5)]
    assert table.add(segments(sample, 3), BYTES).row.tolist() == [1]


def test_flow_fields_are_in_the_order_that_outcome_unpacks() -> None:
    assert FLOW.names is not None
    assert FLOW.names[:4] == ("low", "high", "client", "first_packet")
    assert FLOW.names[17:21] == ("after_reset_packet", "after_reset_ttl", "packets", "bytes")
    assert FLOW.names[21:26] == ("resent", "first_data_ns", "last_data_ns", "fin_ns", "resets")
    assert FLOW.names[26:31] == ("base", "last", "reach", "acked", "acked_ns")
