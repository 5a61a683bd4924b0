"""Bounds of the engine: what is left out when there are more flows than may be kept, and what stays right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.frames import ICMP, START_NS, SYN, UDP, Frame, Talk, batches, engine_of, icmp, ip, link, udp
from flows.tls_talks import HANDSHAKE, hello, message, record
from trace_go.flows import reassembly
from trace_go.flows.engine import Engine
from trace_go.model.flow import Flow, Traffic

GET = b"GET /x/@v/list HTTP/1.1\r\nHost: mirror.example\r\n\r\n"


def kept(frames: list[Frame], most: int, size: int = 20) -> Traffic:
    engine = Engine(lambda _: "", max_flows=most)
    for batch in batches(frames, *[size] * (len(frames) // size)):
        engine.add(batch)
        assert engine._table.count <= most + size
        assert set(engine._talks) <= set(range(engine._table.count))
    return engine.finish()


def syn(number: int, *, six: bool = False) -> Frame:
    client = f"2001:db8::{number:x}" if six else "10.0.0.2"
    talk = Talk((client, 1024 + number), ("2001:db8:1::1" if six else "192.0.2.80", 443))
    return talk.packet(0, flags=SYN, seq=number).at(START_NS + number * 1000)


def ends(flow: Flow) -> tuple[str, int, str]:
    return flow.client.ip, flow.client.port, flow.server.ip


@pytest.mark.parametrize("six", [False, True])
def test_a_flood_is_counted_and_the_latest_are_kept(six: bool) -> None:
    seen = kept([syn(number, six=six) for number in range(2000)], 100)
    assert seen.left_out + len(seen.flows) == 2000
    assert 75 <= len(seen.flows) <= 120
    ports = [flow.client.port for flow in seen.flows]
    assert ports == list(range(3024 - len(ports), 3024))
    assert [flow.id for flow in seen.flows] == list(range(len(seen.flows)))
    if six:
        assert [flow.client.ip for flow in seen.flows] == [f"2001:db8::{port - 1024:x}" for port in ports]


def test_what_tells_something_stays() -> None:
    talk = Talk(("10.9.9.9", 5000), ("192.0.2.1", 80)).open().up(GET)
    secure = Talk(("2001:db8::99", 5001), ("2001:db8:1::9", 443)).open().up(hello())
    seen = kept([*talk.frames, *secure.frames, *(syn(number, six=number % 2 > 0) for number in range(3000))], 100)
    assert [ends(flow) for flow in seen.flows[:2]] == [
        ("10.9.9.9", 5000, "192.0.2.1"),
        ("2001:db8::99", 5001, "2001:db8:1::9"),
    ]
    assert seen.flows[0].exchanges
    assert seen.flows[1].tls


def test_a_flow_goes_on_after_others_were_left_out() -> None:
    talk = Talk(("2001:db8::99", 5000), ("2001:db8:1::9", 80)).open().up(GET)
    flood = [syn(number, six=True) for number in range(500)]
    talk.down(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    seen = kept([*talk.frames[:-1], *flood, talk.frames[-1]], 50)
    assert [exchange.status for exchange in seen.flows[0].exchanges] == [200]
    assert seen.flows[0].packets_down == 2


def test_finished_flows_go_before_open_ones() -> None:
    done = [frame for number in range(60) for frame in Talk(("10.0.1.1", 2000 + number)).open().close().frames]
    waiting = [frame for number in range(60) for frame in Talk(("10.0.0.1", 3000 + number)).open().frames]
    seen = kept([*waiting, *done], 100)
    assert {flow.client.ip for flow in seen.flows if flow.client.port < 3000} <= {"10.0.1.1"}
    assert sum(flow.client.ip == "10.0.0.1" for flow in seen.flows) == 60


def test_icmp_errors_still_find_their_flow() -> None:
    asked = Frame(link(ip("2001:db8::7", "2001:db8::53", UDP, udp(5000, 9999, b"x"))), START_NS + 10**7)
    quote = ip("2001:db8::7", "2001:db8::53", UDP, udp(5000, 9999, b"x"))
    error = Frame(link(ip("2001:db8::1", "2001:db8::7", 58, icmp(1, 4, quote))), START_NS + 10**7 + 1)
    flood = [syn(number, six=True) for number in range(300)]
    late = [frame.at(START_NS + 10**7 + 10 + at) for at, frame in enumerate(flood[:60])]
    seen = kept([*flood, asked, error, *late], 100)
    (found,) = [flow for flow in seen.flows if flow.transport == "udp"]
    assert found.icmp == "port unreachable"
    assert ICMP == 1


HEADERS = b"x: y\r\n" * 700


@pytest.mark.parametrize(
    ("gap", "sent"),
    [(1, HEADERS), (0, GET[:-2] + HEADERS), (0, record(HANDSHAKE, message(1, bytes([3]) * 9000))[:4200])],
    ids=["gap", "head", "hello"],
)
def test_what_waits_for_more_is_bounded_in_all(gap: int, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments behind a gap, and heads that do not end: the oldest are given up, the later ones are still read."""
    monkeypatch.setattr(reassembly, "MAX_HELD", 100_000)
    talks = [Talk(("10.0.0.2", 2000 + number), ("192.0.2.80", 80)).open() for number in range(100)]
    for talk in talks:
        talk.next[0] += gap
        talk.up(sent)
    last = Talk(("10.0.0.2", 9000), ("192.0.2.80", 80)).open().up(GET)
    engine = engine_of([frame for talk in (*talks, last) for frame in talk.frames])
    sides = [side for talk in engine._talks.values() for side in talk.sides]
    assert 50_000 < sum(side.kept for side in sides) <= 100_000
    flows = engine.finish().flows
    lost = [talk.sides[0].lost for flow, talk in engine._talks.items() if flow < 100]
    assert lost == sorted(lost, reverse=True)
    assert True in lost
    assert [exchange.method for exchange in flows[-1].exchanges] == ["GET"]


def test_nothing_is_left_out_below_the_bound() -> None:
    frames = [syn(number) for number in range(100)]
    assert kept(frames, 100).left_out == 0
    assert kept(frames, 100) == kept(frames, 10_000)


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=80), st.integers(4, 12))
def test_counts_add_up_and_addresses_stay_right(sample: list[tuple[int, bool]], most: int) -> None:
    frames = [syn(number, six=six).at(START_NS + at * 1000) for at, (number, six) in enumerate(sample)]
    seen = kept(frames, most, 5)
    known = {(f"2001:db8::{number:x}" if six else "10.0.0.2", 1024 + number) for number, six in sample}
    assert {(flow.client.ip, flow.client.port) for flow in seen.flows} <= known
    assert sum(flow.packets_up + flow.packets_down for flow in seen.flows) <= len(frames)
    assert len(seen.flows) + seen.left_out >= len(known)
    assert np.all(np.diff([flow.first_packet for flow in seen.flows]) > 0)
