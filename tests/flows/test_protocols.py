"""What is not go's is called by its name: QUIC by its bytes on any port, DNS over TLS and over HTTPS; STARTTLS."""

import pytest

from flows.frames import START_NS, UDP, Frame, Talk, ip, link, traffic, udp
from flows.tls_talks import hello
from trace_go.model.flow import Outcome
from trace_go.paths.index import of_go
from wire.tls_samples import NAME


def datagram(payload: bytes, port: int = 4433, *, back: bool = False) -> Frame:
    ends = ("10.0.0.2", "192.0.2.80")
    body = udp(port, 50000, payload) if back else udp(50000, port, payload)
    return Frame(link(ip(*(reversed(ends) if back else ends), UDP, body)), START_NS)


def initial(version: int, first: int = 0xC3) -> bytes:
    return bytes([first]) + version.to_bytes(4, "big") + b"\x08" + bytes(1200)


@pytest.mark.parametrize(
    ("payload", "protocol"),
    [
        (initial(1), "quic"),
        (initial(0x6B3343CF), "quic"),
        (initial(0xFF00001D), "quic"),
        (initial(1)[:7], "quic"),
        (initial(1)[:6], ""),
        (initial(1, 0x43), ""),  # a short header
        (initial(0xBABABABA), ""),
        (bytes(1200), ""),
    ],
)
def test_quic_is_told_by_its_long_header(payload: bytes, protocol: str) -> None:
    (flow,) = traffic([datagram(payload), datagram(bytes([0x40]) + bytes(40), back=True)]).flows
    assert flow.protocol == protocol


@pytest.mark.parametrize("sizes", [(), (1, 1, 1)])
def test_the_answer_tells_too(sizes: tuple[int, ...]) -> None:
    (flow,) = traffic([datagram(b"\x40" * 30), datagram(initial(1), back=True), datagram(b"\x40" * 30)], *sizes).flows
    assert flow.protocol == "quic"


@pytest.mark.parametrize(
    ("name", "port", "protocol"),
    [("dns.google", 443, "doh"), ("DNS.Quad9.net", 443, "doh"), (NAME, 853, "dot"), (NAME, 443, "tls")],
)
def test_names_resolved_over_tls(name: str, port: int, protocol: str) -> None:
    talk = Talk(server=("192.0.2.80", port)).open().up(hello(name))
    (flow,) = traffic(talk.frames).flows
    assert flow.protocol == protocol


def test_starttls_is_nothing_of_gos() -> None:
    talk = (
        Talk(server=("192.0.2.25", 25)).open().down(b"220 mail ESMTP\r\n").up(b"EHLO me\r\n").down(b"250 STARTTLS\r\n")
    )
    talk.up(b"STARTTLS\r\n").down(b"220 go ahead\r\n").up(hello())
    (flow,) = traffic(talk.frames).flows
    assert (flow.protocol, flow.outcome, flow.name) == ("tls", Outcome.OPEN, NAME)
    assert not of_go(flow)
