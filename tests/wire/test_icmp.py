"""ICMP errors and the packets they quote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.frames import ICMP, TCP, UDP, icmp, ip, tcp, udp
from trace_go.model.errors import WireError
from trace_go.wire.icmp import TOO_BIG, IcmpError, maybe_error

V4 = ip("10.0.0.2", "192.0.2.80", TCP, tcp(40001, 443), ttl=1)
V6 = ip("2001:db8::2", "2001:db8::80", UDP, udp(5000, 53, b"question"))
QUOTED4 = {"protocol": TCP, "src": b"\x0a\0\0\x02", "dst": b"\xc0\0\x02\x50", "sport": 40001, "dport": 443}
QUOTED6 = {
    "protocol": UDP,
    "src": b"\x20\x01\x0d\xb8" + bytes(11) + b"\2",
    "dst": b"\x20\x01\x0d\xb8" + bytes(11) + b"\x80",
}


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [
        (3, 0, "network unreachable"),
        (3, 1, "host unreachable"),
        (3, 3, "port unreachable"),
        (3, 4, TOO_BIG),
        (3, 13, "communication administratively prohibited"),
        (3, 77, "ICMP type 3 code 77"),
        (11, 0, "time to live exceeded"),
        (12, 0, "ICMP type 12 code 0"),
    ],
)
def test_ipv4(kind: int, code: int, text: str) -> None:
    for quote in (V4, V4[:28], ip("10.0.0.2", "192.0.2.80", TCP, tcp(40001, 443), options=bytes(8))):
        assert maybe_error(icmp(kind, code, quote), ipv6=False) == IcmpError(text=text, **QUOTED4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [
        (1, 0, "no route to destination"),
        (1, 1, "communication administratively prohibited"),
        (1, 4, "port unreachable"),
        (2, 0, TOO_BIG),
        (2, 9, TOO_BIG),
        (3, 0, "hop limit exceeded"),
        (4, 1, "ICMP type 4 code 1"),
    ],
)
def test_ipv6(kind: int, code: int, text: str) -> None:
    expected = IcmpError(text=text, sport=5000, dport=53, **QUOTED6)  # type: ignore[arg-type]
    assert maybe_error(icmp(kind, code, V6), ipv6=True) == expected


@pytest.mark.parametrize(("kind", "ipv6"), [(0, False), (8, False), (5, False), (128, True), (135, True), (0, True)])
def test_other_messages_are_no_errors(kind: int, ipv6: bool) -> None:
    assert maybe_error(icmp(kind, 0, V6 if ipv6 else V4), ipv6=ipv6) is None


def test_quotes_without_ports() -> None:
    assert maybe_error(icmp(3, 1, ip("10.0.0.2", "10.0.0.3", ICMP, icmp(8, 0))), ipv6=False) is None
    assert maybe_error(icmp(3, 1, ip("10.0.0.2", "10.0.0.3", UDP, udp(1, 2), fragment=5)), ipv6=False) is None


def test_quotes_that_are_no_packet() -> None:
    for quote in (b"\x55" + V4[1:], b"\x44" + V4[1:], V6):
        with pytest.raises(WireError):
            maybe_error(icmp(3, 1, quote), ipv6=False)
    with pytest.raises(WireError):
        maybe_error(icmp(1, 0, V4 + bytes(40)), ipv6=True)


@pytest.mark.parametrize(("message", "ipv6"), [(icmp(3, 1, V4[:24]), False), (icmp(1, 4, V6[:44]), True)])
def test_cut(message: bytes, ipv6: bool) -> None:
    assert maybe_error(message, ipv6=ipv6) is not None
    for size in range(len(message)):
        with pytest.raises(WireError):
            maybe_error(message[:size], ipv6=ipv6)


@given(st.binary(max_size=80), st.booleans(), st.sampled_from([b"", b"\3\1", b"\1\4", b"\3\1" + bytes(6) + b"\x4f"]))
def test_random_bytes(data: bytes, ipv6: bool, start: bytes) -> None:
    try:
        error = maybe_error(start + data, ipv6=ipv6)
    except WireError:
        return
    assert error is None or (error.sport < 2**16 and len(error.src) == (16 if ipv6 else 4))
