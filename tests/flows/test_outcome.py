"""Every outcome from a packet sequence that has it."""

from collections.abc import Callable

import pytest

from flows.dns_talks import asked, query, reply, told
from flows.frames import (
    ACK,
    ICMP,
    ICMPV6,
    RST,
    START_NS,
    SYN,
    TCP,
    UDP,
    Frame,
    Talk,
    icmp,
    ip,
    later,
    link,
    tcp,
    traffic,
    udp,
)
from flows.tls_talks import CERTIFICATE, CHANGE, FLIGHT13, TLS13, alert, answer12, answer13, encrypted, handshake, hello
from trace_go.flows.outcome import PATIENCE_NS
from trace_go.model.flow import Flow, Outcome

GET = b"GET /a HTTP/1.1\r\nHost: mirror.example\r\n\r\n"
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CONNECT = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"


def flow_of(frames: list[Frame], wait_s: float = 5) -> Flow:
    flow, *_ = traffic([*frames, later(frames, wait_s)]).flows
    return flow


def syns(count: int) -> Talk:
    """A SYN and its repetitions, a second apart."""
    talk = Talk()
    for _ in range(count):
        talk.frames.append(talk.packet(0, flags=SYN, seq=1000, ack=0))
        talk.pause(1)
    return talk


def refused(times: int = 1) -> Talk:
    talk = Talk()
    for _ in range(times):
        talk.frames.append(talk.packet(0, flags=SYN, seq=1000, ack=0))
        talk.frames.append(talk.packet(1, flags=RST | ACK, seq=0, ack=1001))
    return talk


def unreachable(kind: int = 3, code: int = 1) -> Talk:
    talk = syns(1)
    quote = talk.frames[0].data[14 : 14 + 28]
    talk.frames.append(
        Frame(link(ip("10.0.0.1", "10.0.0.2", ICMP, icmp(kind, code, quote))), talk.frames[0].time_ns + 10**6)
    )
    return talk


def tls(*turns: tuple[int, bytes]) -> Talk:
    talk = Talk().open()
    for side, data in turns:
        talk.say(side, data)
    return talk


SERVED = (0, hello()), (1, answer13() + FLIGHT13), (0, CHANGE + encrypted(53) + encrypted(120)), (1, encrypted(4000))
LOSER = (0, hello()), (1, answer13() + FLIGHT13), (0, CHANGE + encrypted(53))

CASES: list[tuple[str, Outcome, Callable[[], Talk]]] = [
    ("plain http", Outcome.OK, lambda: Talk().open().up(GET).down(DONE).close()),
    ("tls 1.3", Outcome.OK, lambda: tls(*handshake(TLS13)).close()),
    ("server closes first, then resets late data", Outcome.OK, lambda: tls(*SERVED).fin(1).up(encrypted(19)).reset(1)),
    ("client closes, server resets", Outcome.OK, lambda: tls(*SERVED).fin(0).reset(1)),
    ("client resets when done", Outcome.OK, lambda: tls(*SERVED).reset(0)),
    ("both close at once", Outcome.OK, lambda: simultaneous_close(tls(*SERVED))),
    ("syn unanswered", Outcome.NO_ANSWER, lambda: syns(1)),
    ("syn repeated", Outcome.NO_ANSWER, lambda: syns(4)),
    ("refused", Outcome.REFUSED, refused),
    ("refused, tried again with the same number", Outcome.REFUSED, lambda: refused(3)),
    ("host unreachable", Outcome.UNREACHABLE, unreachable),
    ("administratively prohibited", Outcome.UNREACHABLE, lambda: unreachable(3, 13)),
    ("reset during the download", Outcome.RESET, lambda: tls(*SERVED).reset(1)),
    ("reset after the hello", Outcome.RESET, lambda: tls((0, hello())).reset(1)),
    ("reset after the request", Outcome.RESET, lambda: Talk().open().up(GET).reset(1)),
    ("reset at once", Outcome.RESET, lambda: Talk().open().reset(1)),
    (
        "reset in a body",
        Outcome.RESET,
        lambda: Talk().open().up(GET).down(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1").reset(1),
    ),
    ("closed after the hello", Outcome.CLOSED_IN_HANDSHAKE, lambda: tls((0, hello())).fin(1)),
    ("closed after the request", Outcome.CLOSED_IN_HANDSHAKE, lambda: Talk().open().up(GET).fin(1)),
    ("inferred refusal", Outcome.REJECTED_CERTIFICATE, lambda: tls(*LOSER[:2], (0, CHANGE + encrypted(19))).fin(0)),
    (
        "plain refusal",
        Outcome.REJECTED_CERTIFICATE,
        lambda: tls((0, hello()), (1, answer12(CERTIFICATE)), (0, alert(42))).fin(0),
    ),
    (
        "refusal by a reset beside the alert",
        Outcome.REJECTED_CERTIFICATE,
        lambda: tls(*LOSER[:2], (0, CHANGE + encrypted(19))).reset(0),
    ),
    ("no common version", Outcome.REFUSED_HANDSHAKE, lambda: tls((0, hello()), (1, alert(70))).fin(1)),
    ("not tls", Outcome.NOT_TLS, lambda: tls((0, hello()), (1, b"HTTP/1.0 400 Bad Request\r\n\r\n")).fin(1)),
    ("silence after the hello", Outcome.SILENT, lambda: tls((0, hello()))),
    ("client gives up", Outcome.SILENT, lambda: tls((0, hello())).fin(0)),
    ("client's process ends with an answer unread", Outcome.IDLE, lambda: tls((0, hello()), (1, answer13())).reset(0)),
    ("client leaves amid the handshake", Outcome.IDLE, lambda: tls((0, hello()), (1, answer13())).close()),
    (
        "client gives up amid the handshake",
        Outcome.CLOSED_IN_HANDSHAKE,
        lambda: tls((0, hello()), (1, answer12(CERTIFICATE))).pause(10).close(),
    ),
    (
        "server leaves amid the handshake",
        Outcome.CLOSED_IN_HANDSHAKE,
        lambda: tls((0, hello()), (1, answer13())).close(1),
    ),
    ("silence after the request", Outcome.SILENT, lambda: Talk().open().up(GET)),
    ("silence after unknown bytes", Outcome.SILENT, lambda: Talk().open().up(bytes(50))),
    ("second request unanswered", Outcome.SILENT, lambda: Talk().open().up(GET).down(DONE).up(GET)),
    (
        "connect refused",
        Outcome.TUNNEL_REFUSED,
        lambda: Talk().open().up(CONNECT).down(b"HTTP/1.1 403 Forbidden\r\n\r\n"),
    ),
    ("sent in vain", Outcome.STALLED, lambda: in_vain(tls(*SERVED), 3)),
    ("sent in vain, then given up", Outcome.STALLED, lambda: in_vain(tls(*SERVED), 3).pause(2).fin(0)),
    ("a hole that is never filled", Outcome.STALLED, lambda: hole(tls(*SERVED))),
    ("a hole in the handshake", Outcome.SILENT, lambda: hole(tls((0, hello())))),
    ("loser of a race", Outcome.IDLE, lambda: tls(*LOSER).close()),
    ("loser that resets", Outcome.IDLE, lambda: tls(*LOSER).reset(0)),
    ("opened and closed", Outcome.IDLE, lambda: Talk().open().close()),
    ("still open", Outcome.OPEN, lambda: tls(*SERVED)),
    ("nothing said yet", Outcome.OPEN, lambda: Talk().open()),
    ("from the middle", Outcome.PARTIAL, lambda: Talk().up(bytes(30)).down(bytes(30)).close()),
    ("the end only", Outcome.PARTIAL, lambda: Talk().close()),
    ("a reset only", Outcome.PARTIAL, lambda: Talk().reset(1)),
]


def in_vain(talk: Talk, times: int) -> Talk:
    """The client sends the same again and again."""
    seq = talk.next[0]
    for _ in range(times):
        talk.frames.append(talk.packet(0, encrypted(40), seq=seq))
    talk.next[0] += len(encrypted(40))
    return talk


def hole(talk: Talk) -> Talk:
    """Of what the server sends the end comes, and the client asks for what is missing before it."""
    missing = talk.next[1]
    talk.frames.append(talk.packet(1, encrypted(100), seq=missing + 1400))
    talk.frames.append(talk.packet(0, seq=talk.next[0], ack=missing))
    return talk


def test_sent_twice_is_not_in_vain_yet() -> None:
    assert flow_of(in_vain(tls(*SERVED), 2).frames).outcome is Outcome.OPEN
    assert flow_of(in_vain(tls(*SERVED), 3).frames, 0.5).outcome is Outcome.OPEN


def test_what_the_client_has_is_no_hole() -> None:
    """The capture misses bytes that the client acknowledged."""
    talk = hole(tls((0, hello())))
    talk.frames[-1] = talk.packet(0, seq=talk.next[0], ack=talk.next[1] + 1400 + len(encrypted(100)))
    flow = flow_of(talk.frames)
    assert (flow.outcome, flow.hole, flow.unacknowledged_down) == (Outcome.PARTIAL, False, 0)
    flow = flow_of(hole(tls((0, hello()))).frames)
    assert (flow.hole, flow.unacknowledged_down) == (True, 1400 + len(encrypted(100)))


def test_who_sent_a_reset_says_no_more() -> None:
    talk = tls((0, hello())).reset(1)
    forged = flow_of([*talk.frames, talk.packet(1, seq=talk.next[1])]).reset
    true = flow_of([*talk.frames, talk.packet(1, flags=RST, seq=talk.next[1]), talk.packet(0, seq=talk.next[0])]).reset
    assert forged is not None
    assert true is not None
    assert (forged.then_packet, forged.then_ttl, true.then_packet) == (len(talk.frames) + 1, 57, 0)


def simultaneous_close(talk: Talk) -> Talk:
    """Each FIN is sent before the other arrives."""
    one, other = (talk.packet(side, flags=1 | ACK, seq=talk.next[side]) for side in (0, 1))
    talk.frames += [one, other]
    return talk


@pytest.mark.parametrize(("outcome", "make"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_tcp(outcome: Outcome, make: Callable[[], Talk]) -> None:
    frames = make().frames
    assert flow_of(frames).outcome is outcome
    assert flow_of([as_v6(frame) for frame in frames]).outcome is outcome


def test_every_outcome_is_reached() -> None:
    assert {outcome for _, outcome, _ in CASES} == set(Outcome)


def as_v6(frame: Frame) -> Frame:
    """The same packet between IPv6 addresses."""
    packet = frame.data[14:]
    src, dst = (f"2001:db8::{'.'.join(map(str, packet[at : at + 4]))}" for at in (12, 16))
    if packet[9] == TCP:
        return Frame(link(ip(src, dst, TCP, packet[20:], ttl=packet[8])), frame.time_ns)
    quoted = as_v6(Frame(bytes(14) + packet[28:] + bytes(30))).data[14 : 14 + 48]
    kind = {1: (1, 3), 13: (1, 1)}[packet[21]]
    return Frame(link(ip(src, dst, ICMPV6, icmp(*kind, quoted))), frame.time_ns)


@pytest.mark.parametrize(
    ("frames", "wait_s"),
    [(syns(1).frames, 0.5), (tls((0, hello())).frames, 0.9), (Talk().open().up(GET).frames, 0.9)],
)
def test_too_early_to_tell(frames: list[Frame], wait_s: float) -> None:
    assert flow_of(frames, wait_s).outcome is Outcome.OPEN
    assert flow_of(frames, 0.1 + PATIENCE_NS / 1e9).outcome is not Outcome.OPEN


def test_too_big_is_no_failure() -> None:
    assert flow_of(unreachable(3, 4).frames).outcome is Outcome.NO_ANSWER


def test_an_icmp_error_about_the_servers_packet_is_no_failure() -> None:
    talk = syns(1)
    answer = Frame(link(ip("192.0.2.80", "10.0.0.2", TCP, tcp(443, 40001, flags=RST))), START_NS + 10**6)
    quote = answer.data[14 : 14 + 28]
    talk.frames.append(Frame(link(ip("10.0.0.2", "192.0.2.80", ICMP, icmp(3, 1, quote))), START_NS + 2 * 10**6))
    flow = flow_of(talk.frames)
    assert (flow.outcome, flow.icmp) == (Outcome.NO_ANSWER, "host unreachable")


def test_the_reset_is_told() -> None:
    talk = tls(*SERVED).reset(1)
    flow = flow_of(talk.frames)
    assert flow.reset is not None
    assert (flow.reset.packet, flow.reset.time_ns) == (len(talk.frames), talk.frames[-1].time_ns)
    assert (flow.reset.from_client, flow.reset.ttl, flow.syn_ack_ttl) == (False, 57, 57)


def udp_frames(*ups: bool, port: int = 443) -> list[Frame]:
    ends = [("10.0.0.2", "192.0.2.9", udp(50000, port, b"x")), ("192.0.2.9", "10.0.0.2", udp(port, 50000, b"y"))]
    return [
        Frame(link(ip(src, dst, UDP, body)), START_NS + at)
        for at, up in enumerate(ups)
        for src, dst, body in [ends[not up]]
    ]


def test_udp() -> None:
    assert flow_of(udp_frames(True)).outcome is Outcome.NO_ANSWER
    assert flow_of(udp_frames(True), 0.1).outcome is Outcome.OPEN
    flow = flow_of(udp_frames(True, False, True))
    assert (flow.outcome, flow.protocol, flow.transport) == (Outcome.OK, "quic", "udp")
    assert (flow.packets_up, flow.packets_down, flow.bytes_up, flow.bytes_down) == (2, 1, 2, 1)
    query_only = asked(0, 5000, query(7, "a"))
    error = Frame(link(ip("10.0.0.53", "10.0.0.2", ICMP, icmp(3, 3, query_only.data[14:]))), query_only.time_ns + 5)
    assert flow_of([query_only, error]).outcome is Outcome.UNREACHABLE
    assert flow_of([query_only, told(1, 5000, reply(7, "a"))]).outcome is Outcome.OK


@pytest.mark.parametrize(("port", "protocol"), [(853, "dot"), (8080, "")])
def test_protocol_by_port_when_nothing_was_said(port: int, protocol: str) -> None:
    assert flow_of(Talk(server=("192.0.2.1", port)).open().close().frames).protocol == protocol
