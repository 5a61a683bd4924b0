"""The engine as a whole: batches make no difference, and what joins packets of several kinds."""

import gc
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flows.dns_talks import asked, framed, query, reply, told
from flows.frames import (
    ACK,
    ICMP,
    START_NS,
    SYN,
    UDP,
    Frame,
    Talk,
    batches,
    engine_of,
    icmp,
    ip,
    later,
    link,
    traffic,
    udp,
)
from flows.tls_talks import (
    CERTIFICATE,
    CHANGE,
    FLIGHT13,
    TLS12,
    TLS13,
    alert,
    answer12,
    answer13,
    encrypted,
    handshake,
    hello,
)
from trace_go.flows import engine as engine_module
from trace_go.flows.engine import Engine
from trace_go.model.evidence import file_of, number_in_file
from trace_go.model.flow import Endpoint, Outcome
from trace_go.model.tls import TlsSession
from wire.tls_samples import NAME

GET = b"GET /x/@v/list HTTP/1.1\r\nHost: mirror.example\r\n\r\n"
CONNECT = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"


def body(size: int, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n" % (status, size) + bytes(size)


def spoken(talk: Talk, turns: tuple[tuple[int, bytes], ...], size: int) -> Talk:
    for side, data in turns:
        talk.say(side, data, size)
    return talk


def reused(talk: Talk) -> Talk:
    """The same ports a second and a third time."""
    for isn in (70_000, 4_000_000_000):
        talk.close()
        talk.next = [isn, isn + 5]
        spoken(talk.open(), handshake(TLS13), 500)
    return talk


SCRIPTS: list[Callable[[Talk], Talk]] = [
    lambda talk: spoken(talk.open(), handshake(TLS13), 700).close(),
    lambda talk: spoken(talk.open(), handshake(TLS12), 150).close(1),
    lambda talk: spoken(talk.open(), handshake(TLS13, retry=True), 1400).reset(0),
    lambda talk: spoken(talk.open(), handshake(TLS12, trusted=False), 1400).fin(0),
    lambda talk: talk.open().up(hello()).down(answer13() + FLIGHT13).up(CHANGE + encrypted(19)).fin(0),
    lambda talk: talk.open().up(hello()).down(answer12(CERTIFICATE)).up(alert(42)).fin(0),
    lambda talk: talk.open().up(hello()).reset(1),
    lambda talk: talk.open().up(GET).down(body(9000)).up(GET).down(body(3, 404)).up(GET).close(),
    lambda talk: spoken(talk.open().up(CONNECT).down(b"HTTP/1.1 200 OK\r\n\r\n"), handshake(TLS13), 900).close(),
    lambda talk: talk.open().up(CONNECT).down(body(7, 407)).close(1),
    lambda talk: (
        talk.open().up(framed(query(5, "a.example")), 9).down(framed(reply(5, "a.example", ["192.0.2.5"])), 11)
    ),
    lambda talk: talk.open().down(b"SSH-2.0-x\r\n").up(b"SSH-2.0-y\r\n").close(),
    lambda talk: talk.open().up(bytes(5000)).down(bytes(5000)),
    lambda talk: spoken(talk, handshake(TLS12), 1400),
    lambda talk: reused(spoken(talk.open(), handshake(TLS12), 1400)),
    lambda talk: talk.open().close(),
    lambda talk: talk.reset(1),
]


@st.composite
def captures(draw: st.DrawFn) -> list[Frame]:
    """Conversations mixed, each shuffled a little, with repetitions, losses and cuts, among lookups and errors."""
    random = Random(draw(st.integers(0, 2**32)))
    mixed: list[tuple[float, Frame]] = []
    for number, script in enumerate(draw(st.lists(st.sampled_from(SCRIPTS), min_size=1, max_size=5))):
        server = ("192.0.2.53", 53) if script is SCRIPTS[10] else ("192.0.2.80", random.choice([443, 80, 8443]))
        isn = (random.choice([0, 1000, 2**32 - 300]), random.randrange(2**32))
        talk = script(Talk(("10.0.0.2", 40_000 + number), server, isn=isn))
        disorder, losses, repeats, cuts = (random.choice([0, 0, share]) for share in (3, 0.05, 0.1, 0.05))
        for at, frame in enumerate(talk.frames):
            if random.random() >= losses:
                mixed.append(
                    (
                        at + random.random() * disorder,
                        frame.cut(random.randrange(14, 200)) if random.random() < cuts else frame,
                    )
                )
            if random.random() < repeats:
                mixed.append((at + random.random() * 9, frame))
        if random.random() < 0.3:
            quote = random.choice(talk.frames).data[14 : 14 + random.choice([28, 60])]
            mixed.append((random.random() * 30, Frame(link(ip("10.0.0.1", "10.0.0.2", ICMP, icmp(3, 1, quote))))))
    for number in range(random.randrange(5)):
        mixed.append((number, asked(0, 5000 + number, query(number, "a.example"))))
        mixed.append(
            (number + random.random() * 3, told(0, 5000 + number, reply(number, "a.example", truncated=number == 1)))
        )
    frames = [frame for _, frame in sorted(mixed, key=lambda one: one[0])]
    return [frame.at(START_NS + at * random.choice([10**3, 10**6])) for at, frame in enumerate(frames)]


@settings(max_examples=150, deadline=None)
@given(captures(), st.lists(st.integers(1, 30), max_size=12), st.booleans())
def test_batches_make_no_difference(frames: list[Frame], sizes: list[int], single: bool) -> None:
    assert traffic(frames, *([1] * len(frames) if single else sizes)) == traffic(frames)


def test_finish_may_be_called_in_between() -> None:
    frames = spoken(Talk().open(), handshake(TLS13), 700).close().frames
    engine = Engine(lambda _: "")
    outcomes = []
    for batch in batches(frames, *[1] * len(frames)):
        engine.add(batch)
        outcomes.append(engine.finish().flows[0].outcome)
    assert engine.finish() == traffic_without_names(frames)
    assert (outcomes[0], outcomes[-1]) == (Outcome.OPEN, Outcome.OK)


def traffic_without_names(frames: list[Frame]) -> object:
    engine = Engine(lambda _: "")
    for batch in batches(frames):
        engine.add(batch)
    return engine.finish()


def test_nothing_is_left_to_the_garbage_collector() -> None:
    """It may be switched off while a capture is read."""
    broken = [
        hello()[:9] + b"\xff" * 90,
        GET + b"\0 \xff\r\n" * 30,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ]
    scripts = [*SCRIPTS, *(lambda talk, data=data: talk.open().up(data).down(data) for data in broken)]  # type: ignore[misc]
    frames = [
        frame for number, script in enumerate(scripts) for frame in script(Talk(("10.0.0.2", 40_000 + number))).frames
    ]
    traffic(frames)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            assert len(traffic(frames, 50).flows) > len(scripts)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_nothing() -> None:
    assert traffic([]).flows == ()
    seen = traffic([later([Frame(b"")], 1), Frame(b""), Frame(bytes(60))])
    assert (seen.flows, seen.lookups) == ((), ())


@given(st.lists(st.tuples(st.binary(max_size=80), st.sampled_from([0, 1, 101, 108, 113, 276])), max_size=10))
def test_random_packets_never_escape(sample: list[tuple[bytes, int]]) -> None:
    traffic([Frame(data, linktype=linktype) for data, linktype in sample])


def test_a_flow_in_full() -> None:
    talk = spoken(Talk().open(), handshake(TLS12), 1400).close()
    (flow,) = traffic(talk.frames).flows
    up = [frame for frame in talk.frames if frame.data[26:30] == b"\x0a\0\0\x02"]
    assert (flow.id, flow.file, flow.transport) == (0, 0, "tcp")
    assert (flow.client.ip, flow.client.port, flow.server.ip, flow.server.port) == (
        "10.0.0.2",
        40001,
        "192.0.2.80",
        443,
    )
    assert (flow.first_packet, flow.last_packet) == (1, len(talk.frames))
    assert (flow.start_ns, flow.end_ns) == (talk.frames[0].time_ns, talk.frames[-1].time_ns)
    assert (flow.packets_up, flow.packets_down) == (len(up), len(talk.frames) - len(up))
    assert flow.bytes_up == sum(len(frame.data) - 54 for frame in up)
    assert (flow.syn_packet, flow.syn_count, flow.syn_ack_packet, flow.syn_ack_ttl) == (1, 1, 2, 57)
    assert flow.connect_s == pytest.approx(0.001)
    assert (flow.first_up_ns, flow.first_down_ns) == (talk.frames[3].time_ns, talk.frames[4].time_ns)
    assert flow.fin_from_client
    assert flow.fin_from_server
    assert (flow.name, flow.reset, flow.icmp, flow.process) == (NAME, None, None, None)
    plain = {int, str, bool, type(None), Outcome, Endpoint, TlsSession, tuple}
    assert {type(getattr(flow, name)) for name in flow.__struct_fields__} <= plain, "numpy numbers are no JSON"


def test_the_file_is_that_of_the_first_packet() -> None:
    first = [*Talk().open().frames, *Talk(("10.0.0.2", 5)).open().frames, asked(0, 5000, query(1, "a"))]
    engine = Engine(lambda _: "")
    for batch in (*batches(first, 2, file=3), *batches(Talk().open().frames, file=4)):
        engine.add(batch)
    seen = engine.finish()
    assert [(flow.file, number_in_file(flow.first_packet)) for flow in seen.flows] == [(3, 1), (3, 4), (3, 7)]
    assert (file_of(seen.flows[0].last_packet), number_in_file(seen.flows[0].last_packet)) == (4, 3)
    assert seen.lookups[0].file == 3


@pytest.mark.parametrize("sizes", [(), (1,) * 12])
def test_the_last_of_several_syn_acks_begins_the_stream(sizes: tuple[int, ...]) -> None:
    talk = Talk(isn=(1000, 5000))
    for number in (100, 4_000_000_000, 4999):
        talk.frames.append(talk.packet(1, flags=SYN | ACK, seq=number, ack=1001))
    talk.next = [1001, 5000]
    talk.up(GET).down(body(5))
    (flow,) = traffic(talk.frames, *sizes).flows
    assert [exchange.status for exchange in flow.exchanges] == [200]


def test_flows_stand_in_order_of_appearance() -> None:
    frames = [frame for port in range(40_000, 40_200) for frame in Talk(("10.0.0.2", port)).open().frames]
    frames.sort(key=lambda frame: frame.time_ns)
    assert [flow.first_packet for flow in traffic(frames, 50).flows] == list(range(1, 201))


def test_owners() -> None:
    frames = [*Talk().open().frames, *Talk(("2001:db8::5", 1), ("2001:db8::6", 443)).open().frames]
    owners = {("10.0.0.2", 40001, "192.0.2.80", 443): "go (12)", ("2001:db8::5", 1, "2001:db8::6", 443): "git (13)"}
    assert [flow.process for flow in engine_of(frames).finish(owners).flows] == ["go (12)", "git (13)"]


def test_udp_and_tcp_of_the_same_ends_are_two_flows() -> None:
    talk = Talk().open()
    datagram = Frame(link(ip("10.0.0.2", "192.0.2.80", UDP, udp(40001, 443, b"x"))))
    assert [flow.transport for flow in traffic([*talk.frames, datagram]).flows] == ["tcp", "udp"]


def test_a_clock_at_zero_is_a_time() -> None:
    frames = [frame.at(0) for frame in spoken(Talk().open(), handshake(TLS13), 700).close().frames]
    (flow,) = traffic(frames, 3, 4).flows
    assert flow.tls is not None
    assert min(flow.start_ns, flow.syn_ns, flow.syn_ack_ns, flow.tls.hello_ns, flow.tls.established_ns) > 0


def test_icmp_errors_go_to_the_flow_that_was_there() -> None:
    """The ports are used again before the batch ends."""
    first = Talk(isn=(1000, 1))
    first.send(0, flags=SYN)
    error = Frame(link(ip("10.0.0.1", "10.0.0.2", ICMP, icmp(3, 1, first.frames[0].data[14:]))), START_NS + 5)
    frames = [*first.frames, error, *Talk(isn=(90_000, 1), start_ns=START_NS + 10**9).open().frames]
    for sizes in ((), (1, 1), (2,)):
        seen = traffic(frames, *sizes).flows
        assert [(flow.icmp, flow.icmp_packet, flow.outcome) for flow in seen] == [
            ("host unreachable", 2, Outcome.UNREACHABLE), (None, 0, Outcome.OPEN),
        ]  # fmt: skip


def test_icmp_errors_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_ICMP", 2)
    talks = [Talk(("10.0.0.2", port)).open() for port in range(5)]
    pings = [Frame(link(ip("10.0.0.1", "10.0.0.2", ICMP, icmp(8, 0, bytes(50)))))] * 5
    errors = [Frame(link(ip("10.0.0.1", "10.0.0.2", ICMP, icmp(3, 1, talk.frames[0].data[14:])))) for talk in talks]
    frames = [frame for talk in talks for frame in talk.frames] + pings + errors
    for sizes in ((), (22,), (21,)):
        assert sum(flow.icmp is not None for flow in traffic(frames, *sizes).flows) == 2


def test_columns_of_a_batch_may_be_reused_after_add() -> None:
    """`Batch.data` is only valid until the next batch is asked for."""
    frames = spoken(Talk().open(), handshake(TLS12), 100).close().frames
    engine = engine_of([])
    for batch in batches(frames, *[3] * 100):
        pool = batch.data.copy()
        engine.add(replace(batch, data=pool))
        pool[:] = 0xFF
    assert engine.finish() == traffic(frames)
