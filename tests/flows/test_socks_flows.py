"""Conversations through a SOCKS proxy: the tunnel, what is inside, and how it is refused."""

from ssl import TLSVersion

import pytest

from flows.frames import Talk, later, traffic
from flows.tls_talks import handshake
from trace_go.model.flow import Flow, Outcome
from trace_go.model.tls import TlsState
from wire.tls_samples import NAME

PROXY = (("10.0.0.2", 40001), ("192.0.2.1", 1080))
GREETING, CHOSEN = b"\x05\x01\x00", b"\x05\x00"
ASKED = b"\x05\x01\x00\x03" + bytes([len(NAME)]) + NAME.encode() + b"\x01\xbb"
GRANTED = b"\x05\x00\x00\x01" + bytes(6)


def flow_of(talk: Talk) -> Flow:
    (flow,) = traffic([*talk.frames, later(talk.frames, 5)]).flows
    return flow


def asked() -> Talk:
    return Talk(*PROXY).open().up(GREETING).down(CHOSEN).up(ASKED)


@pytest.mark.parametrize("version", [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [1400, 1])
def test_tls_inside(version: TLSVersion, size: int) -> None:
    talk = asked().down(GRANTED)
    for side, data in handshake(version):
        talk.say(side, data, max(size, len(data) // 40))
    flow = flow_of(talk.close())
    assert (flow.protocol, flow.outcome, flow.name) == ("socks", Outcome.OK, NAME)
    assert flow.tunnel
    assert (flow.tunnel.protocol, flow.tunnel.authority, flow.tunnel.opened) == ("socks5", f"{NAME}:443", True)
    assert flow.tls
    assert flow.tls.state is TlsState.ESTABLISHED
    assert flow.tls.hello
    assert flow.tls.hello.sni == NAME
    assert (flow.tunnel.request_packet, flow.tunnel.response_packet) == (6, 7)


def test_login_is_a_fact_without_its_words() -> None:
    talk = Talk(*PROXY).open().up(b"\x05\x02\x00\x02").down(b"\x05\x02").up(b"\x01\x02me\x05hush!").down(b"\x01\x00")
    flow = flow_of(talk.up(ASKED).down(GRANTED).close())
    assert flow.tunnel
    assert flow.tunnel.has_credentials
    assert flow.outcome is Outcome.IDLE
    assert "hush" not in repr(flow)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"\x05\x05\x00\x01" + bytes(6), "connection refused (SOCKS answer 5)"),
        (b"\x05\x02", "not allowed by the proxy's rules (SOCKS answer 2)"),
    ],
)
def test_refused(answer: bytes, text: str) -> None:
    flow = flow_of(asked().down(answer).close(1))
    assert flow.tunnel
    assert (flow.outcome, flow.tunnel.answer, flow.name) == (Outcome.TUNNEL_REFUSED, text, NAME)


def test_no_acceptable_method_is_refused_before_the_name_is_told() -> None:
    flow = flow_of(Talk(*PROXY).open().up(GREETING).down(b"\x05\xff").close(1))
    assert flow.tunnel
    assert (flow.outcome, flow.tunnel.status, flow.tunnel.authority) == (Outcome.TUNNEL_REFUSED, 255, "")
    assert (flow.name, flow.tunnel.request) == (None, "SOCKS5")


def test_silence_and_ends() -> None:
    assert flow_of(Talk(*PROXY).open().up(GREETING)).outcome is Outcome.SILENT
    assert flow_of(asked()).outcome is Outcome.SILENT
    assert flow_of(asked().fin(1)).outcome is Outcome.CLOSED_IN_HANDSHAKE
    assert flow_of(asked().reset(1)).outcome is Outcome.RESET


def test_an_answer_in_another_protocol() -> None:
    flow = flow_of(Talk(*PROXY).open().up(GREETING).down(b"HTTP/1.1 400 Bad Request\r\n\r\n").close(1))
    assert flow.tunnel
    assert (flow.tunnel.status, flow.tunnel.reason, flow.tunnel.response_packet) == (None, "not SOCKS", 5)
    connect = b"CONNECT a.example:443 HTTP/1.1\r\n\r\n"
    flow = flow_of(Talk(*PROXY).open().up(connect).down(b"\x05\xff").close(1))
    assert flow.tunnel
    assert (flow.tunnel.status, flow.tunnel.reason, flow.outcome) == (None, "not HTTP", Outcome.CLOSED_IN_HANDSHAKE)


def test_clear_http_inside() -> None:
    get = b"GET /example.com/@v/list HTTP/1.1\r\nHost: mirror.example\r\n\r\n"
    talk = asked().down(GRANTED).up(get).down(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").close()
    flow = flow_of(talk)
    assert [(item.url, item.status) for item in flow.exchanges] == [("http://mirror.example/example.com/@v/list", 200)]
    assert flow.tunnel


@pytest.mark.parametrize(("code", "opened"), [(90, True), (91, False)])
def test_version_4a(code: int, opened: bool) -> None:
    ask = b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00" + NAME.encode() + b"\x00"
    flow = flow_of(Talk(*PROXY).open().up(ask).down(bytes([0, code]) + bytes(6)).close())
    assert flow.tunnel
    assert (flow.tunnel.protocol, flow.tunnel.authority, flow.tunnel.opened) == ("socks4", f"{NAME}:443", opened)
    assert flow.tunnel.has_credentials


def test_other_commands_are_no_tunnels() -> None:
    listening = ASKED.replace(b"\x05\x01", b"\x05\x02", 1)
    flow = flow_of(Talk(*PROXY).open().up(GREETING).down(CHOSEN).up(listening).down(GRANTED).close())
    assert flow.tunnel is None
