"""Data sent twice and unlike, and waiting: against a loop over packets, however they are divided into batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.flows.decode import ACK, TCP, Segments
from trace_go.flows.heads import PAD
from trace_go.flows.sequels import HEAD, LONG_NS, Sequels
from trace_go.flows.table import FlowTable
from trace_go.model.flow import Twice, Wait

PORTS = (40_000, 443)
S = LONG_NS
REAL, FORGED = b"HTTP/1.1 200 OK\r\nServer: a", b"HTTP/1.1 403 Forbidden\r\n\r\n"


class Sent(NamedTuple):
    """A packet of one connection; side 0 is the server: its port is lower."""

    side: int
    seq: int
    data: bytes
    time_ns: int
    ttl: int = 60
    port: int = PORTS[0]


def sequels(packets: Sequence[Sent], *sizes: int) -> Sequels:
    table, rest, first = FlowTable(), list(packets), 1
    for size in (*sizes, len(rest)):
        part, rest = rest[:size], rest[size:]
        if not part:
            continue
        lengths = np.array([len(packet.data) for packet in part])
        ends = [(packet.port, 443) if packet.side else (443, packet.port) for packet in part]
        sport, dport = (np.array(column) for column in zip(*ends, strict=True))
        one = np.ones(len(part), np.int64)
        memory = np.frombuffer(b"".join(packet.data for packet in part) + bytes(PAD), np.uint8)
        columns = {name: np.array([getattr(packet, name) for packet in part]) for name in ("seq", "time_ns", "ttl")}
        seg = Segments(
            number=np.arange(first, first + len(part)),
            protocol=TCP * one,
            src=one,
            dst=one,
            sport=sport,
            dport=dport,
            ack=0 * one,
            flags=ACK * one,
            payload=np.cumsum(lengths) - lengths,
            captured=lengths,
            length=lengths,
            **columns,
        )
        table.add(seg, memory)
        first += len(part)
    return table.sequels


def slow(packets: Sequence[Sent]) -> tuple[Twice | None, Wait | None]:
    """The same of one connection, packet by packet; the first packet is the client's."""
    twice: Twice | None = None
    wait: Wait | None = None
    last: dict[int, tuple[int, Sent]] = {}
    spoke: tuple[int, Sent] | None = None
    for number, packet in enumerate(packets, 1):
        if not packet.data:
            continue
        if spoke and spoke[1].side == 1 and packet.side == 0:
            waited_ns = packet.time_ns - spoke[1].time_ns
            if waited_ns >= max(LONG_NS, wait.waited_ns + 1 if wait else 0):
                wait = Wait(
                    request_packet=spoke[0],
                    request_bytes=len(spoke[1].data),
                    answer_packet=number,
                    answer_bytes=len(packet.data),
                    answer_ns=packet.time_ns,
                    waited_ns=waited_ns,
                )
        spoke = number, packet
        before = last.get(packet.side)
        last[packet.side] = number, packet
        if before and before[1].seq == packet.seq and not twice:
            size = min(len(before[1].data), len(packet.data), HEAD)
            if size > 1 and before[1].data[:size] != packet.data[:size]:
                twice = Twice(
                    from_client=packet.side == 1,
                    packet=before[0],
                    time_ns=before[1].time_ns,
                    ttl=before[1].ttl,
                    then_packet=number,
                    then_ttl=packet.ttl,
                    then_ns=packet.time_ns,
                )
    return twice, wait


GET = Sent(1, 0, b"GET /", 1)


@pytest.mark.parametrize(
    ("then", "found"),
    [
        ([Sent(0, 0, FORGED, 2, ttl=47), Sent(0, 0, REAL, 3)], (2, 47, 3, 60)),
        ([Sent(0, 0, FORGED, 2), Sent(0, 0, REAL[:12], 3)], (2, 60, 3, 60)),
        ([Sent(0, 0, REAL, 2), Sent(0, 0, REAL, 3)], None),  # a retransmission, or captured twice
        ([Sent(0, 0, REAL, 2), Sent(0, 0, REAL[:9], 3)], None),  # cut otherwise
        ([Sent(0, 0, REAL, 2), Sent(0, 0, REAL + b"more", 3)], None),
        ([Sent(0, 0, b"a", 2), Sent(0, 0, b"\0", 3)], None),  # a keep-alive
        ([Sent(0, 0, FORGED, 2), Sent(0, len(FORGED), REAL, 3)], None),
        ([Sent(0, 0, FORGED, 2, port=40_001), Sent(0, 0, REAL, 3)], None),
    ],
)
@pytest.mark.parametrize("sizes", [(), (1, 1), (2,)])
def test_data_sent_twice(then: list[Sent], found: tuple[int, ...] | None, sizes: tuple[int, ...]) -> None:
    told = sequels([GET, *then], *sizes).twice
    assert [(one.packet, one.ttl, one.then_packet, one.then_ttl) for one in told.values()] == ([found] if found else [])
    assert not any(one.from_client for one in told.values())


def test_the_longest_wait() -> None:
    packets = [
        GET,
        Sent(0, 0, REAL, 2 * S),
        Sent(0, 99, REAL, 9 * S),  # the server goes on by itself
        Sent(1, 5, b"GET /2", 20 * S),  # the client took its time
        Sent(0, 199, REAL, 23 * S),
    ]
    for sizes in ((), (1, 1, 1, 1), (4,)):
        [wait] = sequels(packets, *sizes).waits.values()
        assert (wait.request_packet, wait.answer_packet, wait.waited_ns) == (4, 5, 3 * S)
        assert (wait.request_bytes, wait.answer_bytes) == (6, len(REAL))


PACKETS = st.lists(
    st.builds(
        Sent,
        st.integers(0, 1),
        st.integers(0, 3),
        st.sampled_from([b"", b"a", REAL, FORGED, REAL[:4], bytes(40)]),
        st.integers(0, 5).map(lambda step: step * S // 2),
        st.integers(1, 3),
        st.just(PORTS[0]),
    ),
    max_size=12,
)


@given(PACKETS, st.lists(st.integers(1, 4), max_size=5))
def test_a_loop_over_packets_finds_the_same(steps: list[Sent], sizes: list[int]) -> None:
    times = np.cumsum([packet.time_ns + 1 for packet in steps]).tolist()
    packets = [GET, *(packet._replace(time_ns=at + 1) for packet, at in zip(steps, times, strict=True))]
    told = sequels(packets, *sizes)
    assert (told.twice.get(0), told.waits.get(0)) == slow(packets)


def test_forgotten_flows_take_theirs_with_them() -> None:
    told = sequels([GET, Sent(0, 0, FORGED, 2), Sent(0, 0, REAL, 3 * S)])
    assert (len(told.twice), len(told.waits)) == (1, 0)
    told.keep(np.array([0]), {0: 0}, 1)
    assert list(told.twice) == [0]
    told.keep(np.array([], np.intp), {}, 1)
    assert not told.twice
