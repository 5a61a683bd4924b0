"""Streams put back in order, and what they speak: clear HTTP, CONNECT with TLS inside, and the unknown."""

from itertools import groupby
from random import Random
from ssl import TLSVersion

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.frames import ACK, SYN, Frame, Talk, later, traffic
from flows.tls_talks import CHANGE, FLIGHT13, TLS12, TLS13, answer13, encrypted, handshake, hello
from lab.modules import Module
from trace_go.flows.conversation import END, MAX_PREAMBLE, Conversation
from trace_go.flows.reassembly import MAX_PENDING, PIECE_BYTES, Side
from trace_go.model.flow import Flow, Outcome
from trace_go.model.tls import TlsState
from wire.tls_samples import NAME

ENDS = (("10.0.0.2", 40001), ("192.0.2.80", 80))


def flow_of(talk: Talk, wait_s: float = 5) -> Flow:
    (flow,) = traffic([*talk.frames, later(talk.frames, wait_s)]).flows
    return flow


def get(path: str, *headers: str, host: str = "mirror.example") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()


def answer(status: int, reason: str, body: bytes = b"", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", *headers, "", ""])
    return head.encode() + body


# -- bodies ------------------------------------------------------------------------------------------------------------

MODULE = Module(path="example.com/a", version="v1.0.0", blob_bytes=40_000)
ZIP = get("/example.com/a/@v/v1.0.0.zip")


def body_talk(body: bytes) -> Talk:
    return Talk(*ENDS).open().up(ZIP).down(answer(200, "OK", body)).up(get("/b/@v/list")).down(answer(404, "Not Found"))


def from_server(talk: Talk) -> list[int]:
    """Places of its packets: the SYN-ACK, the body's, the last answer."""
    return [at for at, frame in enumerate(talk.frames) if frame.data[26:30] == talk.frames[1].data[26:30]]


@given(st.randoms(use_true_random=False), st.lists(st.integers(1, 20), max_size=6))
def test_a_module_is_hashed_however_its_packets_come(random: Random, sizes: list[int]) -> None:
    talk = body_talk(MODULE.zip())
    body = from_server(talk)[1:-1]
    mixed = dict(zip(body, random.sample(body, len(body)), strict=True))
    (flow,) = traffic([talk.frames[mixed.get(at, at)] for at in range(len(talk.frames))], *sizes).flows
    assert [item.h1 for item in flow.exchanges] == [MODULE.sums.split()[2], None]
    assert flow.exchanges[0].body_bytes == len(MODULE.zip())


def test_of_a_body_that_is_no_module_only_the_end_is_read() -> None:
    talk = body_talk(b"x" * 100_000)
    flow = flow_of(talk)
    assert [item.h1 for item in flow.exchanges] == [None, None]
    assert flow.exchanges[0].end_ns == talk.frames[from_server(talk)[-2]].time_ns
    half = Conversation(0)
    said = answer(200, "OK", b"x" * 100_000)
    half.segment(0, 0, ZIP, len(ZIP), 1, 1)
    half.segment(1, 0, said[:1000], 1000, 2, 2)
    assert half.sides[1].position == len(said) - 1


# -- reassembly of one side --------------------------------------------------------------------------------------------


class Recorder(Conversation):
    """A conversation that keeps the bytes of side 0."""

    client: int = 0
    got: bytes = b""

    def _sniff(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        self.got += data


def assembled(*parts: tuple[int, bytes]) -> bytes:
    talk = Recorder()
    for number, (offset, data) in enumerate(parts, 1):
        talk.segment(0, offset, data, len(data), number, number)
    return talk.got


def test_order_overlap_and_repetition() -> None:
    assert assembled((0, b"abc"), (3, b"def")) == b"abcdef"
    assert assembled((3, b"def"), (0, b"abc")) == b"abcdef"
    assert assembled((6, b"gh"), (3, b"def"), (0, b"abc")) == b"abcdefgh"
    assert assembled((0, b"abc"), (0, b"abc"), (1, b"bcde")) == b"abcde"
    assert assembled((-2, b"xyab"), (2, b"c")) == b"abc"
    assert assembled((-2, b"xy"), (0, b"a")) == b"a"
    assert assembled((3, b"def"), (6, b"g")) == b""


def test_the_first_bytes_win() -> None:
    assert assembled((0, b"abc"), (0, b"XYZd")) == b"abcd"
    assert assembled((2, b"cd"), (0, b"abXYe")) == b"abcde"
    assert assembled((2, b"cd"), (1, b"bXYe"), (0, b"a")) == b"abcde"
    assert assembled((4, b"e"), (2, b"c"), (1, b"bXdXf"), (0, b"a")) == b"abcdef"


def test_a_longer_repetition_of_a_waiting_segment_counts() -> None:
    assert assembled((2, b"cd"), (2, b"cdef"), (0, b"ab")) == b"abcdef"


@given(st.data())
def test_any_delivery_gives_the_first_bytes(data: st.DataObject) -> None:
    """Against a table of bytes by offset, filled by whoever comes first."""
    parts = data.draw(st.lists(st.tuples(st.integers(-3, 30), st.binary(min_size=1, max_size=8)), max_size=15))
    first: dict[int, int] = {}
    for offset, body in parts:
        for at, byte in enumerate(body, offset):
            first.setdefault(at, byte)
    run: list[int] = []
    while len(run) in first:
        run.append(first[len(run)])
    assert assembled(*parts) == bytes(run)


def test_too_much_out_of_order_is_a_loss() -> None:
    for size, count in ((1, MAX_PENDING // PIECE_BYTES + 1), (1400, MAX_PENDING // 1400 + 1)):
        talk = Conversation(0)
        for at in range(count):
            talk.segment(0, 10 + at * 2 * size, bytes(size), size, 1, 1)
        assert (talk.sides[0].open, talk.sides[0].gap, talk.sides[1].gap) == (False, True, False)


def test_a_cut_segment_ends_its_side() -> None:
    for parts in ([(0, b"abc", 5), (5, b"fgh", 3)], [(5, b"fgh", 3), (2, b"c", 3), (0, b"ab", 2)]):
        talk = Recorder()
        for offset, body, length in parts:
            talk.segment(0, offset, body, length, 1, 1)
        assert (talk.got, talk.sides[0].gap) == (b"abc", True)


# -- reassembly from packets -------------------------------------------------------------------------------------------


def exchange_talk(isn: int = 1000) -> Talk:
    talk = Talk(*ENDS, isn=(isn, isn)).open()
    talk.up(get("/a/@v/list"), 20).down(answer(200, "OK", b"v1.0.0\n"), 20)
    return talk.up(get("/b/@v/list"), 20).down(answer(404, "Not Found", b"not found"), 20)


def statuses(frames: list[Frame]) -> list[tuple[str, int | None]]:
    (flow,) = traffic(frames).flows
    return [(one.url, one.status) for one in flow.exchanges]


BOTH = [("http://mirror.example/a/@v/list", 200), ("http://mirror.example/b/@v/list", 404)]


@pytest.mark.parametrize("isn", [0, 1000, 2**31 - 30, 2**32 - 1, 2**32 - 2, 2**32 - 40])
def test_sequence_numbers_wrap(isn: int) -> None:
    assert statuses(exchange_talk(isn).frames) == BOTH


@given(st.randoms(use_true_random=False))
def test_reordered_and_repeated_packets(random: Random) -> None:
    """Each turn's packets in any order, and any of them once more at any later time."""
    frames = exchange_talk().frames
    made = frames[:3]
    for _, turn in groupby(frames[3:], key=lambda frame: frame.data[26:30]):
        made += random.sample(part := list(turn), len(part))
        made += [frame for frame in made[3:] if random.random() < 0.2]
    assert statuses(made) == BOTH


def test_without_the_handshake() -> None:
    assert statuses(exchange_talk().frames[3:]) == BOTH
    assert statuses(exchange_talk().frames[1:]) == BOTH


def test_syn_with_data() -> None:
    """TCP Fast Open (RFC 7413)."""
    talk = Talk(*ENDS)
    talk.send(0, get("/a/@v/list"), SYN)
    talk.send(1, flags=SYN | ACK)
    talk.send(0)
    talk.down(answer(200, "OK"))
    assert statuses(talk.frames) == BOTH[:1]


def test_a_forged_repetition_changes_nothing() -> None:
    talk = exchange_talk()
    real = talk.frames[3]
    forged = Frame(real.data[:-20] + b"X" * 20, real.time_ns)
    assert statuses([*talk.frames[:4], forged, *talk.frames[4:]]) == BOTH


def test_keep_alive_bytes_are_passed_over() -> None:
    talk = exchange_talk()
    byte = talk.packet(0, b"\0", seq=talk.next[0] - 1)
    talk.frames.append(byte)
    talk.up(get("/c")).down(answer(200, "OK"))
    flow = flow_of(talk)
    assert [one.status for one in flow.exchanges] == [200, 404, 200]
    assert (flow.retransmissions_up, flow.retransmissions_down) == (0, 0)


def test_retransmissions_are_counted() -> None:
    talk = exchange_talk()
    (flow,) = traffic([*talk.frames, talk.frames[3], talk.frames[-1], talk.frames[-1]]).flows
    assert (flow.retransmissions_up, flow.retransmissions_down) == (1, 2)


def test_a_missing_segment_leaves_the_request_open_and_the_flow_partial() -> None:
    talk = exchange_talk()
    first_answer = next(at for at, frame in enumerate(talk.frames) if b"HTTP/1.1 200" in frame.data)
    del talk.frames[first_answer]
    flow = flow_of(talk)
    assert [one.status for one in flow.exchanges] == [None, None]
    assert flow.outcome is Outcome.PARTIAL


# -- HTTP --------------------------------------------------------------------------------------------------------------


def test_an_exchange_in_full() -> None:
    talk = Talk(*ENDS).open()
    talk.up(get("/x/@v/v1.zip?token=abc", "User-Agent: go", "Referer: http://u:secret@a/", "Authorization: Basic x"))
    talk.down(
        answer(
            302, "Found", b"", "Location: https://cdn.example/z?X-Amz-Signature=abc", "Server: nginx", "Via: 1.1 box"
        )
    )
    talk.close()
    flow = flow_of(talk)
    (one,) = flow.exchanges
    assert (flow.protocol, flow.outcome, flow.name) == ("http", Outcome.OK, "mirror.example")
    assert (one.method, one.status, one.reason, one.server, one.via) == ("GET", 302, "Found", "nginx", "1.1 box")
    assert (one.request_packet, one.response_packet, one.body_bytes) == (4, 5, 0)
    assert (one.request_ns, one.response_ns) == (talk.frames[3].time_ns, talk.frames[4].time_ns)
    assert (one.has_credentials, one.proxied, one.user_agent) == (True, False, "go")
    assert one.referer is not None
    for text in (one.url, one.location, one.referer):
        assert text is not None
        assert "abc" not in text
        assert "secret" not in text


def test_absolute_form() -> None:
    talk = Talk(*ENDS).open()
    for target in ("http://u:p@mirror.example:8080/a", "http://mirror.example", "/?u=http://x/y"):
        talk.up(get(target, host="other")).down(answer(200, "OK"))
    one, two, three = flow_of(talk).exchanges
    assert (one.host, one.proxied, one.has_credentials) == ("mirror.example:8080", True, True)
    assert "u:p" not in one.url
    assert (two.url, two.host, two.has_credentials) == ("http://mirror.example", "mirror.example", False)
    assert (three.url, three.host, three.proxied) == ("http://other/?u=http://x/y", "other", False)


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
@pytest.mark.parametrize("batch", [(), (20,), (500, 500)])
def test_bodies_are_skipped(size: int, batch: tuple[int, ...]) -> None:
    talk = Talk(*ENDS).open()
    for path in ("/a", "/b", "/c"):
        talk.up(get(path)).down(answer(200, "OK", b"HTTP/1.1 500 no\r\n\r\n"[: size % 20] + bytes(size)), 1448)
    (flow,) = traffic(talk.frames, *batch).flows
    assert [one.status for one in flow.exchanges] == [200, 200, 200]
    assert flow.outcome is Outcome.OPEN


def test_losses_within_a_body_do_not_matter() -> None:
    talk = Talk(*ENDS).open().up(get("/a")).down(answer(200, "OK", bytes(100_000)))
    del talk.frames[10:30]
    talk.up(get("/b")).down(answer(404, "Not Found"))
    assert [one.status for one in flow_of(talk).exchanges] == [200, 404]
    cut = [frame.cut(200) for frame in talk.frames]
    assert [one.status for one in traffic(cut).flows[0].exchanges] == [200, 404]


def test_segments_out_of_order_around_a_body() -> None:
    two = answer(200, "OK", bytes(10_000)) + answer(201, "Created", bytes(3000)) + answer(202, "Accepted")
    talk = Talk(*ENDS).open().up(get("/a") + get("/b") + get("/c")).down(two, 1000)
    start, down = talk.frames[:4], talk.frames[4:]
    for order in (down[::-1], down[1::2] + down[::2], down[1:] + down[:1], down[-1:] + down[:-1]):
        assert [status for _, status in statuses([*start, *order])] == [200, 201, 202]


def test_a_body_until_the_connection_closes() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    talk = Talk(*ENDS).open().up(get("/a")).down(head + bytes(5_000_000), 60_000).close(1)
    flow = traffic(talk.frames, 5, 20, 20).flows[0]
    assert ([one.status for one in flow.exchanges], [one.body_bytes for one in flow.exchanges]) == ([200], [-1])


@pytest.mark.parametrize("length", [2**63 - 1, 2**64, 10**30])
def test_a_body_of_absurd_length(length: int) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()
    talk = Talk(*ENDS).open().up(get("/a")).down(head + bytes(5000))
    assert [one.status for one in traffic(talk.frames, 5, 1).flows[0].exchanges] == [200]


def test_interim_answers_and_upgrades() -> None:
    talk = Talk(*ENDS).open().up(get("/a")).down(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, "OK"))
    talk.up(get("/ws", "Upgrade: websocket")).down(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x82\x05hello").up(
        b"\x82\x85...."
    )
    assert [one.status for one in flow_of(talk).exchanges] == [200, 101]


def test_pipelined_requests_are_answered_in_order() -> None:
    talk = Talk(*ENDS).open().up(get("/a") + get("/b") + get("/c")).down(answer(200, "OK") + answer(404, "No"))
    assert [(one.url[-2:], one.status) for one in flow_of(talk).exchanges] == [("/a", 200), ("/b", 404), ("/c", None)]


def test_no_answer_to_a_request() -> None:
    talk = Talk(*ENDS).open().up(get("/a"))
    assert flow_of(talk).outcome is Outcome.SILENT
    assert flow_of(talk, 0.1).outcome is Outcome.OPEN
    assert flow_of(Talk(*ENDS).open().up(get("/a")).fin(1)).outcome is Outcome.CLOSED_IN_HANDSHAKE
    assert flow_of(Talk(*ENDS).open().up(get("/a")).reset(1)).outcome is Outcome.RESET


def test_the_client_is_found_by_what_it_says() -> None:
    """No SYN, both ports high, and the answer or the lower port comes first."""
    ends = (("10.0.0.2", 8080), ("10.0.0.3", 50_000))
    answers_first = Talk(*ends).down(answer(200, "OK")).up(get("/a")).down(answer(404, "No"))
    asks_first = Talk(*ends).up(get("/a")).down(answer(404, "No"))
    for talk in (answers_first, asks_first):
        flow = flow_of(talk)
        assert (flow.client.ip, flow.server.ip) == ("10.0.0.2", "10.0.0.3")
        assert [one.status for one in flow.exchanges][-1] == 404
    low = (("10.0.0.2", 443), ("10.0.0.3", 50_000))
    for talk in (
        Talk(*low).up(hello()).down(answer13() + FLIGHT13),
        Talk(*ends).down(answer13() + FLIGHT13).up(CHANGE + encrypted(53)),
    ):
        flow = flow_of(talk)
        assert (flow.client.ip, flow.bytes_up > 0, flow.bytes_down > 0) == ("10.0.0.2", True, True)
        assert flow.tls is not None
        assert flow.tls.server is not None


# -- CONNECT -----------------------------------------------------------------------------------------------------------

CONNECT = (
    b"CONNECT proxy.golang.org:443 HTTP/1.1\r\nHost: proxy.golang.org:443\r\nUser-Agent: Go-http-client/1.1\r\n\r\n"
)
WITH_PASSWORD = CONNECT.replace(b"\r\n\r\n", b"\r\nProxy-Authorization: Basic eDp5\r\n\r\n")
GRANTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
DENIED = answer(407, "Proxy Authentication Required", b"log in", "Proxy-Authenticate: Basic")
PROXY = (("10.0.0.2", 40001), ("10.0.0.9", 3128))


def tunnelled(*turns: tuple[int, bytes], before: bytes = CONNECT, granted: bytes = GRANTED) -> Talk:
    talk = Talk(*PROXY).open().up(before).down(granted)
    for side, data in turns:
        talk.say(side, data)
    return talk


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_tls_inside_a_tunnel(version: TLSVersion) -> None:
    flow = flow_of(tunnelled(*handshake(version)).close())
    assert flow.tunnel is not None
    assert (flow.tunnel.authority, flow.tunnel.status, flow.tunnel.reason) == (
        "proxy.golang.org:443",
        200,
        "Connection established",
    )
    assert (flow.tunnel.request_packet, flow.tunnel.response_packet) == (4, 5)
    assert (flow.tunnel.user_agent, flow.tunnel.has_credentials) == ("Go-http-client/1.1", False)
    assert flow.tls is not None
    assert flow.tls.hello is not None
    assert (flow.tls.state, flow.tls.hello.sni, flow.tls.hello_packet) == (TlsState.ESTABLISHED, NAME, 6)
    assert (flow.protocol, flow.outcome, flow.exchanges) == ("http", Outcome.OK, ())


def test_tls_in_the_segments_of_connect_and_its_answer() -> None:
    up, down, *rest = handshake(TLS13)
    talk = Talk(*PROXY).open().up(CONNECT + up[1]).down(GRANTED + down[1])
    for side, data in rest:
        talk.say(side, data)
    flow = flow_of(talk)
    assert flow.tls is not None
    assert flow.tunnel is not None
    assert (flow.tls.state, flow.tunnel.status, flow.tls.hello_packet, flow.tls.server_packet) == (
        TlsState.ESTABLISHED, 200, 4, 5,
    )  # fmt: skip


def test_a_hello_that_does_not_wait_for_the_answer() -> None:
    up, *rest = handshake(TLS13)
    talk = Talk(*PROXY).open().up(CONNECT).up(up[1]).down(GRANTED)
    for side, data in rest:
        talk.say(side, data)
    flow = flow_of(talk)
    assert flow.tls is not None
    assert flow.tunnel is not None
    assert (flow.tls.state, flow.tunnel.status) == (TlsState.ESTABLISHED, 200)


def test_every_byte_alone() -> None:
    talk = Talk(*PROXY).open().up(CONNECT, 1).down(GRANTED, 1)
    for side, data in handshake(TLS13):
        talk.say(side, data, 1)
    flow = flow_of(talk)
    assert flow.tls is not None
    assert flow.tls.state is TlsState.ESTABLISHED


@pytest.mark.parametrize("status", [403, 407, 502, 503])
def test_connect_refused(status: int) -> None:
    talk = Talk(*PROXY).open().up(CONNECT).down(answer(status, "No", b"<html>")).close(1)
    flow = flow_of(talk)
    assert flow.tunnel is not None
    assert (flow.outcome, flow.tunnel.status, flow.tls, flow.exchanges) == (Outcome.TUNNEL_REFUSED, status, None, ())


def test_a_second_connect_with_credentials() -> None:
    talk = Talk(*PROXY).open().up(CONNECT).down(DENIED).up(WITH_PASSWORD).down(GRANTED)
    for side, data in handshake(TLS13):
        talk.say(side, data)
    flow = flow_of(talk.close())
    assert flow.tunnel is not None
    assert flow.tls is not None
    assert (flow.tunnel.status, flow.tunnel.has_credentials, flow.tunnel.request_packet) == (200, True, 6)
    assert (flow.outcome, flow.tls.state) == (Outcome.OK, TlsState.ESTABLISHED)


def test_connect_without_an_answer() -> None:
    assert flow_of(Talk(*PROXY).open().up(CONNECT)).outcome is Outcome.SILENT
    assert flow_of(Talk(*PROXY).open().up(CONNECT).fin(1)).outcome is Outcome.CLOSED_IN_HANDSHAKE
    flow = flow_of(Talk(*PROXY).open().up(CONNECT).reset(1))
    assert flow.tunnel is not None
    assert (flow.outcome, flow.tunnel.status, flow.tunnel.response_packet) == (Outcome.RESET, None, 0)


def test_a_tunnel_that_is_not_used_and_one_of_another_protocol() -> None:
    assert flow_of(tunnelled().close()).outcome is Outcome.IDLE
    assert flow_of(tunnelled()).outcome is Outcome.OPEN
    ssh = tunnelled((0, b"SSH-2.0-Go\r\n"), (1, b"SSH-2.0-OpenSSH_9.2\r\n")).close()
    assert (flow_of(ssh).outcome, flow_of(ssh).protocol, flow_of(ssh).tls) == (Outcome.OK, "http", None)


def test_silence_inside_a_tunnel() -> None:
    assert flow_of(tunnelled((0, hello()))).outcome is Outcome.SILENT
    flow = flow_of(tunnelled((0, hello()), (1, b"HTTP/1.1 400 Bad Request\r\n\r\n")).close())
    assert flow.outcome is Outcome.NOT_TLS


def test_connect_after_other_requests() -> None:
    talk = Talk(*PROXY).open().up(get("http://a.example/")).down(answer(200, "OK", b"x")).up(CONNECT).down(GRANTED)
    for side, data in handshake(TLS13):
        talk.say(side, data)
    flow = flow_of(talk)
    assert flow.tls is not None
    assert ([one.status for one in flow.exchanges], flow.tls.state) == ([200], TlsState.ESTABLISHED)


# -- other protocols ---------------------------------------------------------------------------------------------------


UNKNOWN = [
    b"SSH-2.0-Go\r\n",
    bytes(64),
    b"\xff" * 20,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"220 mail.example ESMTP\r\n",
]


@pytest.mark.parametrize("first", UNKNOWN)
def test_unknown_protocols_are_given_up(first: bytes) -> None:
    talk = Conversation(0)
    talk.segment(0, 0, first, len(first), 1, 1)
    assert talk.protocol == ("ssh" if first.startswith(b"SSH") else "")
    for at in range(len(first), MAX_PREAMBLE + 2000, 1000):
        talk.segment(0, at, bytes(1000), 1000, 1, 1)
        assert len(talk.sides[0].buffer) < 10
    assert not talk.sides[0].open


@pytest.mark.parametrize("size", [1, 7, 1400])
@pytest.mark.parametrize(
    "preamble",
    [
        [(1, b"220 mail.example ESMTP\r\n"), (0, b"STARTTLS\r\n"), (1, b"220 go ahead\r\n")],
        [(0, bytes.fromhex("0000000804d2162f")), (1, b"S")],
        [(0, b"PROXY TCP4 10.1.1.1 10.2.2.2 5217 443\r\n")],
    ],
    ids=["smtp", "postgres", "proxy header"],
)
def test_tls_behind_another_protocol(preamble: list[tuple[int, bytes]], size: int) -> None:
    talk = Talk().open()
    for side, data in [*preamble, *handshake(TLS12)]:
        talk.say(side, data, size)
    flow = flow_of(talk.close())
    assert flow.tls is not None
    assert flow.tls.hello is not None
    assert (flow.protocol, flow.outcome, flow.tls.state, flow.tls.hello.sni) == (
        "tls",
        Outcome.OK,
        TlsState.ESTABLISHED,
        NAME,
    )
    assert len(flow.tls.chain) == 1


def test_an_unknown_protocol_is_ok_when_it_ends_well() -> None:
    flow = flow_of(Talk().open().down(b"SSH-2.0-OpenSSH\r\n").up(b"SSH-2.0-Go\r\n").close())
    assert (flow.protocol, flow.outcome) == ("ssh", Outcome.OK)


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=60)), max_size=8), st.booleans())
def test_hostile_bytes_never_escape(parts: list[tuple[int, bytes]], is_dns: bool) -> None:
    talk = Conversation(0, is_dns=is_dns)
    at = [0, 0]
    for number, (side, data) in enumerate(parts, 1):
        talk.segment(side, at[side], data, len(data), number, number)
        at[side] += len(data)
        assert talk.sides[side].position <= END
    talk.answered_and_waiting()


STARTS = [get("/a"), answer(200, "OK"), CONNECT, GRANTED, hello(), answer13(), encrypted(30), CHANGE, b"\0\x1d\0\1\1\0"]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from(STARTS), st.binary(max_size=9)), max_size=8), st.booleans()
)
def test_protocols_in_any_order_never_escape(parts: list[tuple[int, bytes, bytes]], is_dns: bool) -> None:
    talk = Talk(server=("192.0.2.53", 53 if is_dns else 443)).open()
    for side, start, noise in parts:
        talk.say(side, start + noise, 100)
    (flow,) = traffic(talk.close().frames).flows
    assert flow.outcome


def test_secrets_in_heads_are_masked() -> None:
    asked = get("/a", "User-Agent: x token=hidden1", host="u:hidden2@mirror.example")
    said = answer(403, "token=hidden3", b"", "Server: x token=hidden4", "Via: http://u:hidden5@v")
    tunnel = b"CONNECT u:hidden6@a.example:443 HTTP/1.1\r\n\r\n"
    for talk in (Talk().open().up(asked).down(said), Talk().open().up(tunnel).down(answer(407, "http://u:hidden7@z"))):
        flow = flow_of(talk.close())
        assert flow.exchanges or flow.tunnel
        assert "hidden" not in repr((flow.exchanges, flow.tunnel))
