"""SOCKS, both directions: whole, byte by byte, and with trailing bytes of the tunnel."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.model.errors import WireError
from trace_go.wire.socks import (
    ClientReader,
    Event,
    Greeting,
    Login,
    LoginResult,
    Method,
    Reply,
    Request,
    ServerReader,
    looks_like_client,
    reply_text,
)

NAME = b"\x05\x01\x00\x03\x0eproxy.test.org\x01\xbb"
V6 = b"\x05\x01\x00\x04" + bytes(15) + b"\x01\x00\x50"
REPLY = b"\x05\x00\x00\x01" + bytes(4) + b"\x00\x00"
SOCKS4 = b"\x04\x01\x01\xbb\xc0\x00\x02\x07me\x00"
SOCKS4A = b"\x04\x01\x01\xbb\x00\x00\x00\x01\x00proxy.test.org\x00"


def asked(version: int, authority: str, command: int = 1, *, user: bool = False) -> Request:
    return Request(version=version, command=command, authority=authority, has_user=user)


CLIENTS = {
    "no login": (b"\x05\x01\x00" + NAME, [Greeting(methods=(0,)), asked(5, "proxy.test.org:443")]),
    "login": (
        b"\x05\x02\x00\x02" + b"\x01\x02me\x05hush!" + V6,
        [Greeting(methods=(0, 2)), Login(), asked(5, "[::1]:80")],
    ),
    "address": (
        b"\x05\x01\x00" + b"\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbb",
        [Greeting(methods=(0,)), asked(5, "192.0.2.7:443")],
    ),
    "version 4": (SOCKS4, [asked(4, "192.0.2.7:443", user=True)]),
    "version 4A": (SOCKS4A, [asked(4, "proxy.test.org:443")]),
}
SERVERS = {
    "granted": (5, b"\x05\x00" + REPLY, [Method(method=0), Reply(version=5, code=0)]),
    "login": (
        5,
        b"\x05\x02" + b"\x01\x00" + REPLY,
        [Method(method=2), LoginResult(status=0), Reply(version=5, code=0)],
    ),
    "version 4": (4, b"\x00\x5a" + bytes(6), [Reply(version=4, code=90)]),
}
REFUSALS = {
    "no method": (5, b"\x05\xff", [Method(method=255)]),
    "wrong login": (5, b"\x05\x02\x01\x07", [Method(method=2), LoginResult(status=7)]),
    "refused": (5, b"\x05\x00\x05\x05" + bytes(8), [Method(method=0), Reply(version=5, code=5)]),
    "refused in two bytes": (5, b"\x05\x00\x05\x02", [Method(method=0), Reply(version=5, code=2)]),
    "version 4": (4, b"\x00\x5b" + bytes(6), [Reply(version=4, code=91)]),
}


def read(reader: ClientReader | ServerReader, pieces: Iterable[bytes]) -> list[Event]:
    events = []
    for piece in pieces:
        reader.receive(piece)
        while (event := reader.next_event()) is not None:
            events.append(event)
    return events


def delivered(data: bytes, rest: bytes) -> dict[str, list[bytes]]:
    return {"whole": [data], "bytes": [data[n : n + 1] for n in range(len(data))], "trailing": [data + rest]}


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("how", ["whole", "bytes", "trailing"])
def test_client(name: str, how: str) -> None:
    data, events = CLIENTS[name]
    reader = ClientReader()
    assert read(reader, delivered(data, b"\x16\x03\x01")[how]) == events
    assert reader.switched
    assert reader.rest == (b"\x16\x03\x01" if how == "trailing" else b"")


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("how", ["whole", "bytes", "trailing"])
def test_server(name: str, how: str) -> None:
    version, data, events = SERVERS[name]
    reader = ServerReader(version)
    assert read(reader, delivered(data, b"\x16\x03\x03")[how]) == events
    assert reader.switched
    assert reader.rest == (b"\x16\x03\x03" if how == "trailing" else b"")


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_open_nothing(name: str) -> None:
    version, data, events = REFUSALS[name]
    reader = ServerReader(version)
    assert read(reader, [data]) == events
    assert not reader.switched


@pytest.mark.parametrize(
    "data",
    [
        b"\x05\x01\x00\x04",
        b"\x05\x01\x00\x05\x01\x00\x02\x00",
        b"\x05\x01\x00\x05\x01\x00\x09\x01",
        b"\x04\x03" + bytes(7),
        b"\x04\x01\x01\xbb\xc0\x00\x02\x07" + b"u" * 256,
        b"G",
    ],
)
def test_what_is_no_client(data: bytes) -> None:
    reader = ClientReader()
    for _ in range(2):  # for good
        with pytest.raises(WireError):
            read(reader, [data])


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n", b"\x05\x00HTTP", b"\x05\x02\x05\x00"])
def test_what_is_no_server(data: bytes) -> None:
    with pytest.raises(WireError):
        read(ServerReader(5), [data])
    with pytest.raises(WireError):
        read(ServerReader(4), [data])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x05\x01\x00", True),
        (b"\x05\x03\x00\x01\x02", True),
        (b"\x05\x02\x00", None),
        (b"\x05", None),
        (b"", None),
        (b"\x05\x01\x00\x05", False),  # a client waits for the answer
        (b"\x05\x00", False),
        (b"\x05\x02\x00\x00", False),
        (SOCKS4, True),
        (SOCKS4A, True),
        (SOCKS4[:-1], None),
        (SOCKS4 + b"x", False),
        (b"\x04\x07" + bytes(8), False),
        (b"\x16\x03\x01", False),
        (b"GET / HTTP/1.1", False),
    ],
)
def test_looks_like_client(data: bytes, expected: bool | None) -> None:
    assert looks_like_client(data) is expected


def test_reasons() -> None:
    assert reply_text(5, 1) == "general failure"
    assert reply_text(5, 99) == "reply 99"
    assert reply_text(4, 93) == "identd names another user"
    assert reply_text(4, 0) == "reply 0"


@given(st.lists(st.binary(min_size=1, max_size=12), max_size=12), st.sampled_from([4, 5]))
def test_random_bytes(pieces: list[bytes], version: int) -> None:
    for reader in (ClientReader(), ServerReader(version)):
        try:
            read(reader, pieces)
        except WireError:
            continue


@given(st.binary(max_size=300), st.sampled_from(list(CLIENTS)))
def test_the_tunnel_is_never_read(rest: bytes, name: str) -> None:
    data, events = CLIENTS[name]
    reader = ClientReader()
    assert read(reader, [data + rest]) == events
    assert reader.rest == rest
