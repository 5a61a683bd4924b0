"""Connecting where some addresses of a name are dead: real sockets on loopback."""

import errno
import socket
import time
from collections.abc import Iterator

import pytest

from trace_go.capture.dial import STAGGER_S, dial

GOOD, REFUSING, SILENT = "127.0.0.1", "127.0.0.2", "127.0.0.3"


@pytest.fixture
def port() -> Iterator[int]:
    """Accepted at GOOD, refused at REFUSING; at SILENT a SYN is never answered, since the queue is full."""
    with socket.create_server((GOOD, 0)) as good, socket.socket() as silent, socket.socket() as first:
        number = good.getsockname()[1]
        silent.bind((SILENT, number))
        silent.listen(0)
        first.connect((SILENT, number))
        yield number


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """As if the addresses were those of a name."""
    real = socket.getaddrinfo
    found = [found for address in addresses for found in real(address, 0, type=socket.SOCK_STREAM)]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, **_: [(*item[:4], (item[4][0], port)) for item in found]
    )


@pytest.mark.parametrize(
    ("addresses", "least_s"),
    [
        ([GOOD], 0.0),
        ([GOOD, SILENT], 0.0),
        ([REFUSING, GOOD], 0.0),
        ([SILENT, GOOD], STAGGER_S),
        ([SILENT, REFUSING, SILENT, GOOD], 2 * STAGGER_S),
    ],
)
def test_the_first_address_that_accepts(
    monkeypatch: pytest.MonkeyPatch, port: int, addresses: list[str], least_s: float
) -> None:
    resolve(monkeypatch, *addresses)
    begun = time.monotonic()
    with dial("name", port, begun + 20) as connection:
        assert connection.getpeername() == (GOOD, port)
        assert connection.getblocking()
    assert least_s <= time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("addresses", "error"), [([REFUSING, REFUSING], errno.ECONNREFUSED), ([SILENT, REFUSING, SILENT], None)]
)
def test_no_address_accepts(
    monkeypatch: pytest.MonkeyPatch, port: int, addresses: list[str], error: int | None
) -> None:
    resolve(monkeypatch, *addresses)
    with pytest.raises(OSError) as raised:  # noqa: PT011  # a TimeoutError is one
        dial("name", port, time.monotonic() + 0.6)
    assert raised.value.errno == error
    assert isinstance(raised.value, TimeoutError) == (error is None)


def test_no_time_is_left(port: int) -> None:
    with pytest.raises(TimeoutError):
        dial(GOOD, port, time.monotonic())
